"""Clips made from portraits by warps that are known: heads that turn and nod, mouths that open, photographs that are tilted.

A head is the portrait laid over a simple relief: a paraboloid with a nose on it, 62 mm between the eyes. It is good enough
to move features as a head would by up to 30 degrees; it is not good enough to look real, and need not be.
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


def _grid():
    """Millimetres from between the eyes of every pixel: to the right, down."""
    x, y = numpy.meshgrid(numpy.arange(SIZE[0]), numpy.arange(SIZE[1]))
    return (x - CENTRE[0]) * EYES_MM / EYES_PX, (y - CENTRE[1]) * EYES_MM / EYES_PX


def _relief(x, y):
    """Millimetres away from the camera."""
    skull = 55.0 * (numpy.clip(x, -90, 90) / 72.0) ** 2 + 25.0 * (numpy.clip(y - 40, -120, 120) / 100.0) ** 2
    nose = 24.0 * numpy.exp(-((x / 11.0) ** 2) - (numpy.where(y < 36, (y - 36) / 26.0, (y - 36) / 10.0)) ** 2)
    return skull - nose


def _pixels(x, y):
    return (x * EYES_PX / EYES_MM + CENTRE[0]).astype(numpy.float32), (y * EYES_PX / EYES_MM + CENTRE[1]).astype(numpy.float32)


def head(image, yaw=0.0, pitch=0.0, flat=False):
    """The head turned by so many degrees (to its own left, up) about a point behind the nose; or the picture as a sheet."""
    if yaw == 0 and pitch == 0:
        return image
    cos_yaw, sin_yaw = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    cos_pitch, sin_pitch = math.cos(math.radians(pitch)), math.sin(math.radians(pitch))
    u, v = _grid()
    v = v - 40.0
    x, y = u.copy(), v.copy()
    # What is seen at (u, v)? Each round moves the guess by as much as it is off.
    for _ in range(30):
        z = numpy.zeros_like(x) if flat else _relief(x, y + 40.0)
        y1, z1 = y * cos_pitch + z * sin_pitch, z * cos_pitch - y * sin_pitch
        x2, z2 = x * cos_yaw - z1 * sin_yaw, x * sin_yaw + z1 * cos_yaw
        scale = CAMERA_MM / (CAMERA_MM + z2)
        x, y = x + 0.6 * (u - x2 * scale), y + 0.6 * (v - y1 * scale)
    return cv2.remap(image, *_pixels(x, y + 40.0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


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
