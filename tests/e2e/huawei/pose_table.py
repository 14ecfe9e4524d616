"""Prints the table of docs/quality.md: head poses that are measured of portraits projected anew as heads turned by known
angles (`clips.head`), each less what is measured of the portrait as it is.

    LIKENESS_BIN=target/release/likeness .venvs/huawei/bin/python tests/e2e/huawei/pose_table.py
"""

import json
import pathlib
import sys
import tempfile

import cv2
import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import clips  # noqa: E402
import harness  # noqa: E402

PORTRAITS = ["astronaut.png", "biden.jpg", "obama.jpg"]
ANGLES = [-40, -30, -25, -20, -15, -10, 10, 15, 20, 25, 30, 40]
COLUMNS = 4


def poses(images, folder):
    """The pose of the head in each of these pictures, which are shown side by side; `None` where none is found."""
    height, width = images[0].shape[:2]
    images = images + [numpy.zeros_like(images[0])] * (-len(images) % COLUMNS)
    rows = [cv2.hconcat(images[first : first + COLUMNS]) for first in range(0, len(images), COLUMNS)]
    path = pathlib.Path(folder) / "heads.png"
    cv2.imwrite(str(path), cv2.vconcat(rows))
    faces = json.loads(harness.run("detect", path, "--assess", "pose", "--json").stdout)["faces"]
    found = [None] * len(images)
    for face in sorted(faces, key=lambda face: face["box"]["width"]):
        box = face["box"]
        column, row = int((box["left"] + box["width"] / 2) // width), int((box["top"] + box["height"] / 2) // height)
        found[row * COLUMNS + column] = face.get("pose")
    return found


def main():
    shown = {(axis, flat): {angle: [] for angle in ANGLES} for axis in ("yaw", "pitch") for flat in (False, True)}
    with tempfile.TemporaryDirectory() as folder:
        for name in PORTRAITS:
            image = clips.portrait(name)
            for (axis, flat), measured in shown.items():
                heads = [clips.head(image, **{axis: angle}, flat=flat) for angle in ANGLES]
                ahead, *turned = poses([image, *heads], folder)[: len(heads) + 1]
                for angle, pose in zip(ANGLES, turned):
                    if pose is not None:
                        measured[angle].append(pose[axis] - ahead[axis])
    print("| turned by | yaw of a head | yaw of a sheet | pitch of a head | pitch of a sheet |")
    print("|---|---|---|---|---|")
    for angle in ANGLES:
        cells = []
        for measured in shown.values():
            of = measured[angle]
            short = f", {len(of)} of {len(PORTRAITS)} found" if len(of) < len(PORTRAITS) else ""
            cells.append(f"{numpy.mean(of):.0f} ({min(of):.0f} to {max(of):.0f}{short})" if of else "none found")
        print(f"| {angle} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
