"""Prints what the test runs of a folder came to: `tests/summary.py FOLDER`.

The folder holds one JUnit file a run (nextest's and pytest's) or the output of `cargo test` (`*.txt`). A Rust test that
cannot run says `skipped: REASON` and returns; the Rust runners count it as passed, this summary does not. Ends with 1 if a
test failed, or if there is no test at all.
"""

import collections
import pathlib
import re
import sys
import xml.etree.ElementTree

SKIPPED = re.compile(r"^skipped[:,] *(.*)$", re.MULTILINE)


def junit(path):
    """Yields (outcome, name, reason) of each test of a JUnit file."""
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname', '')} {case.get('name')}"
        skipped = case.find("skipped")
        said = SKIPPED.search("\n".join(part.text or "" for part in case if part.tag in ("system-out", "system-err")))
        if case.find("failure") is not None or case.find("error") is not None:
            yield "failed", name, ""
        elif skipped is not None:
            yield "skipped", name, skipped.get("message") or (skipped.text or "").strip()
        elif said:
            yield "skipped", name, said[1]
        else:
            yield "passed", name, ""


def cargo_test(path):
    """Yields the same of what `cargo test -- --show-output` printed."""
    text = path.read_text(errors="replace")
    blocks = re.split(r"^---- (\S+) stdout ----$", text, flags=re.MULTILINE)
    reasons = {}
    for name, block in zip(blocks[1::2], blocks[2::2]):
        if said := SKIPPED.search(block):
            reasons[name] = said[1]
    for name, outcome in re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", text, re.MULTILINE):
        if outcome == "ok":
            yield ("skipped", name, reasons[name]) if name in reasons else ("passed", name, "")
        else:
            yield ("failed" if outcome == "FAILED" else "skipped"), name, "ignored"


def minutes(path):
    """How long a test run took, of a JUnit file."""
    root = xml.etree.ElementTree.parse(path).getroot()
    runs = [root] if root.get("time") else root.iter("testsuite")
    return sum(float(run.get("time", 0)) for run in runs) / 60


def main(folder):
    counts = {}
    took = {}
    reasons = collections.Counter()
    for path in sorted(folder.iterdir()):
        read = {".xml": junit, ".txt": cargo_test}.get(path.suffix)
        if read is None:
            continue
        of_run = counts[path.stem] = collections.Counter()
        took[path.stem] = f"{minutes(path):8.1f}" if read is junit else ""
        for outcome, name, reason in read(path):
            of_run[outcome] += 1
            if outcome == "failed":
                print(f"failed: {path.stem}: {name}")
            elif outcome == "skipped":
                reasons[path.stem, reason] += 1
    total = sum(counts.values(), collections.Counter())
    print(f"{'':20} {'passed':>7} {'skipped':>8} {'failed':>7} {'minutes':>8}")
    for name, of_run in [*counts.items(), ("together", total)]:
        line = f"{name:20} {of_run['passed']:7} {of_run['skipped']:8} {of_run['failed']:7} {took.get(name, '')}"
        print(line.rstrip())
    for (name, reason), count in sorted(reasons.items()):
        print(f"skipped: {count} of {name}: {reason}")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not pathlib.Path(sys.argv[1]).is_dir():
        sys.exit("usage: tests/summary.py FOLDER, a folder of JUnit files")
    sys.exit(main(pathlib.Path(sys.argv[1])))
