"""The accuracy we promise, measured by the command we give people to measure it with."""

import json

import harness
import pytest

PAIRS = harness.SHARED / "eval" / "lfw" / "pairs.csv"


def test_three_folds(tmp_path):
    if not PAIRS.exists():
        pytest.skip("needs ../shared/eval/lfw/pairs.csv")
    plot = tmp_path / "roc.svg"
    done = harness.run("eval", "pairs", PAIRS, "--images", harness.LFW, "--json", "--plot", plot)
    found = json.loads(done.stdout)
    print(json.dumps(found))
    assert {"pairs", "accuracy", "accuracy_sd", "eer", "tar_at_far", "threshold", "no_face"} <= set(found)
    assert found["pairs"] == 1800
    assert found["no_face"] == 0
    assert found["accuracy"] >= 0.993
    assert found["eer"] <= 0.01
    # 900 pairs of two people show neither rate.
    assert found["tar_at_far"] == {}
    assert found["accuracy_interval"][0] >= 0.988
    assert plot.read_text().startswith("<svg")
