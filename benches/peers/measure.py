"""Likeness beside OpenCV: processor time from a photograph's bytes to its faces, one thread each, interleaved.

Both programs see the same JPEG files, turn by turn within one run, so that a slow minute of the machine hits both.
Processor time is user and system time of the whole process; loading models and the first turn are not counted.
OpenCV's side is `imdecode`, `FaceDetectorYN` on the picture shrunk to a longer side of 640 pixels and
`FaceRecognizerSF` on the full picture, with the very model files of the pack `default-1` that Likeness installs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy
import skimage

DETECT_SIDE = 640
SCORE_MIN = 0.6


def read(path):
    """Resident memory of a process in MB of 1,000,000 bytes."""
    for line in Path(path).read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1.024 / 1000
    return 0.0


class OpenCv:
    """The peer, in this process."""

    def __init__(self, pack):
        self.detector = cv2.FaceDetectorYN.create(str(pack / "yunet-2023mar.onnx"), "", (320, 320), SCORE_MIN, 0.3, 5000)
        self.recognizer = cv2.FaceRecognizerSF.create(str(pack / "sface-2021dec.onnx"), "")

    def analyze(self, data, which):
        """Milliseconds of decoding, detecting and embedding, and how many faces were found and embedded."""
        start = time.process_time()
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        decoded = time.process_time()
        height, width = picture.shape[:2]
        scale = min(1.0, DETECT_SIDE / max(width, height))
        small = picture
        if scale < 1.0:
            small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        self.detector.setInputSize((small.shape[1], small.shape[0]))
        faces = self.detector.detect(small)[1]
        faces = numpy.zeros((0, 15), numpy.float32) if faces is None else faces
        detected = time.process_time()
        wanted = sorted(faces, key=lambda face: -face[2] * face[3])
        wanted = {"one": wanted[:1], "all": wanted, "detect-only": []}[which]
        for face in wanted:
            face = face.copy()
            face[:14] /= scale
            self.recognizer.feature(self.recognizer.alignCrop(picture, face))
        end = time.process_time()
        times = [1000 * (b - a) for a, b in ((start, decoded), (decoded, detected), (detected, end))]
        return times, len(faces), len(wanted)


class Likeness:
    """Our side: a process that measures a photograph whenever it is given a name."""

    def __init__(self, binary, which, workers=1):
        command = [binary, "bench", "photo", "-", "--repeat", "1", "--faces", which, "--workers", str(workers), "--json"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def analyze(self, path):
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"likeness ended with {self.process.wait()}")
        return json.loads(line)

    def memory(self):
        return read(f"/proc/{self.process.pid}/status")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def save(folder, name, picture, longer_side=None, megapixels=None):
    """The picture as JPEG of quality 90, scaled to a longer side or an area."""
    height, width = picture.shape[:2]
    scale = longer_side / max(height, width) if longer_side else (megapixels * 1e6 / (height * width)) ** 0.5
    size = (round(width * scale), round(height * scale))
    resize = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    path = folder / f"{name}.jpg"
    cv2.imwrite(str(path), cv2.resize(picture, size, interpolation=resize), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return path


def photographs(folder):
    """One face of 1 and 12 megapixels, and six faces: two sample photographs of three people side by side."""
    one = cv2.imread(str(Path(skimage.__file__).parent / "data" / "astronaut.png"))
    samples = [cv2.imread(str(folder / "package" / "demo" / f"sample{number}.jpg")) for number in (2, 3)]
    group = cv2.hconcat([cv2.resize(sample, (1920, 1350), interpolation=cv2.INTER_AREA) for sample in samples])
    return {
        "1 MP": save(folder, "one-1mp", one, megapixels=1),
        "six": save(folder, "six", group, longer_side=1920),
        "12 MP": save(folder, "one-12mp", one, megapixels=12),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the sample photographs are and the scaled ones go")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each program on each photograph")
    parser.add_argument("--markdown", action="store_true", help="print the tables as docs/performance.md has them")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    binary, home = os.environ["LIKENESS_BIN"], Path(os.environ["LIKENESS_HOME"])
    photos = photographs(args.folder)
    opencv = OpenCv(home / "packs" / "default-1")
    cases = [
        ("1 MP, one face", "1 MP", "one"),
        ("six faces, all embedded", "six", "all"),
        ("six faces, detected", "six", "detect-only"),
        ("12 MP, one face", "12 MP", "one"),
    ]
    ours = {which: Likeness(binary, which) for which in ("one", "all", "detect-only")}
    rows = []
    for name, photo, which in cases:
        path = photos[photo]
        data = numpy.frombuffer(path.read_bytes(), numpy.uint8)
        opencv.analyze(data, which)
        phases, totals, theirs, our_answer = [], [], [], None
        for _ in range(args.rounds):
            times, n_faces, n_embedded = opencv.analyze(data, which)
            phases.append(times)
            theirs.append(sum(times))
            our_answer = ours[which].analyze(path)
            totals.append(our_answer["cpu_ms"])
        decode, detect, embed = (statistics.median(column) for column in zip(*phases))
        their, our = statistics.median(theirs), statistics.median(totals)
        faces = f"{our_answer['faces']}/{our_answer['templates']}", f"{n_faces}/{n_embedded}"
        rows.append([name, our_answer["picture"], *faces, f"{our:.1f}", f"{their:.1f}",
                     f"{decode:.1f} + {detect:.1f} + {embed:.1f}", f"{our / their:.2f}"])
    for process in ours.values():
        process.close()
    head = ["case", "pixels", "found/embedded, ours", "theirs", "ours, CPU ms", "OpenCV, CPU ms",
            "its decode + detect + embed", "ratio"]
    print(f"OpenCV {cv2.__version__}, medians of {args.rounds} interleaved turns, one thread each")
    show(head, rows, args.markdown)

    server = Likeness(binary, "one", workers=2)
    server.analyze(photos["1 MP"])
    idle = server.memory()
    for _ in range(10):
        server.analyze(photos["12 MP"])
    after = server.memory()
    server.close()
    print("Memory of two workers (resident, MB)")
    show(["after one answer", "after ten of 12 MP", "growth"], [[f"{idle:.0f}", f"{after:.0f}", f"{after - idle:.0f}"]],
         args.markdown)


def show(head, rows, markdown):
    """A table for the terminal or for a Markdown page."""
    print()
    if markdown:
        print("| " + " | ".join(head) + " |")
        print("|" + "---|" * len(head))
        for row in rows:
            print("| " + " | ".join(row) + " |")
    else:
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        for row in [head, *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()


if __name__ == "__main__":
    main()
