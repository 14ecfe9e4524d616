"""Clips made from portraits by warps that are known: heads that turn and nod, mouths that open, photographs that are tilted.

A head is the portrait laid over the relief of an average head, 62 mm between the eyes, and projected anew: what is nearer
covers what is behind it. It is good enough to move features as a head would by up to 30 degrees; it is not good enough to
look real, and need not be.
"""

import functools
import json
import math
import subprocess
import tempfile

import cv2
import harness
import numpy

FRAMES_PER_SECOND = 25
SIZE = (640, 480)  # width and height of a clip
EYES_MM, EYES_PX = 62.0, 84.0
CAMERA_MM = 600.0
CENTRE = (320.0, 215.0)  # where the middle between the eyes is put


@functools.cache
def portrait(name):
    """The portrait with its largest face upright, at CENTRE and in its size."""
    path = harness.portrait(name)
    face = json.loads(harness.run("detect", path, "--json").stdout)["faces"][0]
    right, left = face["landmarks"]["right_eye"], face["landmarks"]["left_eye"]
    angle = math.degrees(math.atan2(left[1] - right[1], left[0] - right[0]))
    middle = ((right[0] + left[0]) / 2, (right[1] + left[1]) / 2)
    scale = EYES_PX / math.hypot(left[0] - right[0], left[1] - right[1])
    matrix = cv2.getRotationMatrix2D(middle, angle, scale)
    matrix[:, 2] += numpy.array(CENTRE) - middle
    image = cv2.imread(str(path))
    return cv2.warpAffine(image, matrix, SIZE, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def _grid(fineness=1):
    """Millimetres from between the eyes of every pixel, or of so many places in each of them: to the right, down."""
    x, y = numpy.meshgrid(*((numpy.arange(side * fineness) + 0.5) / fineness - 0.5 for side in SIZE))
    return (x - CENTRE[0]) * EYES_MM / EYES_PX, (y - CENTRE[1]) * EYES_MM / EYES_PX


def _relief(x, y):
    """Millimetres away from the camera: a polynomial and a nose, fitted to the average head of
    crates/vision/src/assess/from_mesh/head.rs and the rest of that mesh (to 4.6 mm), which is as deep as the heads of
    2,249 photographs that were fitted without its depths."""
    a, b = numpy.clip(x, -80, 80) / 70, numpy.clip(y, -60, 118) / 70
    skull = -5.9 - 18.3 * a**2 + 63.4 * a**4 - b - 19 * b**2 + 13.5 * b**3 + 3.7 * a**2 * b + 41.1 * a**2 * b**2
    nose = 37 * numpy.exp(-((x / 14.0) ** 2) - (numpy.where(y < 36, (y - 36) / 32.0, (y - 36) / 10.0)) ** 2)
    return numpy.clip(skull, -60, 110) - nose


def _pixels(x, y):
    return (x * EYES_PX / EYES_MM + CENTRE[0]).astype(numpy.float32), (y * EYES_PX / EYES_MM + CENTRE[1]).astype(numpy.float32)


NECK_MM = (40.0, 30.0)  # down and away from between the eyes: the point about which a head turns
FINENESS = 2


def head(image, yaw=0.0, pitch=0.0, flat=False):
    """The head turned by so many degrees (to its own left, up) about a point behind the nose; or the picture as a sheet."""
    if yaw == 0 and pitch == 0:
        return image
    cos_yaw, sin_yaw = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    cos_pitch, sin_pitch = math.cos(math.radians(pitch)), math.sin(math.radians(pitch))
    x, y = _grid(FINENESS)
    z = numpy.zeros_like(x) if flat else _relief(x, y)
    # The portrait was taken from CAMERA_MM away as well.
    x, y = x * (CAMERA_MM + z) / CAMERA_MM, y * (CAMERA_MM + z) / CAMERA_MM
    y, z = y - NECK_MM[0], z - NECK_MM[1]
    y, z = y * cos_pitch + z * sin_pitch, z * cos_pitch - y * sin_pitch
    x, z = x * cos_yaw - z * sin_yaw, x * sin_yaw + z * cos_yaw
    y, z = y + NECK_MM[0], z + NECK_MM[1]
    scale = CAMERA_MM / (CAMERA_MM + z)
    column, row = (numpy.rint(place).astype(int) for place in _pixels(x * scale, y * scale))
    fine = cv2.resize(image, None, fx=FINENESS, fy=FINENESS, interpolation=cv2.INTER_LINEAR)
    # From the far side to the near one, so that what is nearer is painted last.
    order = (slice(None, None, 1 if pitch > 0 else -1), slice(None, None, -1 if yaw > 0 else 1))
    column, row, fine = column[order].ravel(), row[order].ravel(), fine[order].reshape(-1, 3)
    inside = (column >= 0) & (column < SIZE[0]) & (row >= 0) & (row < SIZE[1])
    turned, covered = image.copy(), numpy.zeros(SIZE[::-1], dtype=numpy.uint8)
    turned[row[inside], column[inside]] = fine[inside]
    covered[row[inside], column[inside]] = 1
    # Surfaces that are stretched leave single pixels open.
    filled = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, numpy.ones((5, 5), numpy.uint8))
    turned[covered == 0] = cv2.medianBlur(turned, 5)[covered == 0]
    holes = ((filled == 1) & (covered == 0)).astype(numpy.uint8)
    return cv2.inpaint(turned, holes, 2, cv2.INPAINT_TELEA) if holes.any() else turned


def mouth(image, gap_mm):
    """The mouth opened by so many millimetres: what is below the lips goes down, and between them it is dark."""
    if gap_mm <= 0:
        return image
    x, y = _grid()
    lips, chin = 70.0, 130.0
    gap = gap_mm * numpy.clip(1 - (x / 24.0) ** 2, 0, 1) ** 0.5
    below = y > lips
    source = numpy.where(below, numpy.where(y < chin, lips + (y - lips - gap) * (chin - lips) / (chin - lips - gap), y), y)
    opened = cv2.remap(image, *_pixels(x, source), cv2.INTER_LINEAR)
    opened[below & (y < lips + gap)] = (30, 20, 60)
    return opened


def bump(n_frames=25):
    """From 0 to 1 and back."""
    return [math.sin(math.pi * idx / (n_frames - 1)) for idx in range(n_frames)]


def still(image, seconds=0.6):
    return [image] * round(seconds * FRAMES_PER_SECOND)


def turn(image, degrees, flat=False):
    return [head(image, yaw=degrees * share, flat=flat) for share in bump()]


def nod(image, degrees, flat=False):
    return [head(image, pitch=-degrees * share, flat=flat) for share in bump()]


def open_mouth(image, gap_mm=30.0):
    return [mouth(image, gap_mm * share) for share in bump()]


def encode(frames, container="mp4", codec="libx264"):
    """The frames as a clip file."""
    with tempfile.NamedTemporaryFile(suffix=f".{container}") as file:
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24",
                   "-s", f"{SIZE[0]}x{SIZE[1]}", "-r", str(FRAMES_PER_SECOND), "-i", "pipe:0",
                   "-pix_fmt", "yuv420p", "-c:v", codec, file.name]
        subprocess.run(command, input=b"".join(frame.tobytes() for frame in frames), check=True)
        return file.read()
