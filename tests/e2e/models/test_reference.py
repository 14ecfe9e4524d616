"""Converted models and the stages against the reference converter and a pipeline written independently of ours.

Needs ../shared (portraits, the reference converter), the archives of npm `@vladmandic/face-api` and PyPI `mediapipe` in
LIKENESS_TEST_ARCHIVES, and the packs `default`, `attributes` and `liveness` installed; what is absent is skipped with the reason.
"""

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile

import harness
import numpy as np
import onnxruntime
import openvino
import pytest
from PIL import Image, ImageOps

CONVERTER = harness.SHARED / "models" / "reference" / "faceapi2onnx.py"
ARCHIVE = "vladmandic-face-api-1.7.15.tgz"
# Our file and the converter's.
NETS = {
    "landmarks68.onnx": "faceapi_face_landmark_68.onnx",
    "expression.onnx": "faceapi_face_expression.onnx",
    "age-gender.onnx": "faceapi_age_gender.onnx",
}
EXPRESSIONS = ["neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"]
PORTRAITS = ["astronaut.png", "biden.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg", "obama_and_biden.jpg", "obama_small.jpg"]


@pytest.fixture(scope="module")
def home():
    return pathlib.Path(json.loads(harness.run("pack", "list", "--json").stdout)["home"])


def pack(home, name, hint):
    folder = home / "packs" / name
    if not folder.exists():
        pytest.skip(f"needs model pack {name}: {hint}")
    return folder


@pytest.fixture(scope="module")
def attributes(home):
    return pack(home, "attributes-1", "likeness pack install attributes")


@pytest.fixture(scope="module")
def liveness(home):
    return pack(home, "liveness-1", "likeness pack install liveness --from ../shared/models")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder with what the reference converter makes."""
    archive = pathlib.Path(os.environ.get("LIKENESS_TEST_ARCHIVES", ".")) / ARCHIVE
    for needed in (CONVERTER, archive):
        if not needed.exists():
            pytest.skip(f"needs {needed.name}")
    folder = tmp_path_factory.mktemp("reference")
    with tarfile.open(archive) as package:
        package.extractall(folder, filter="data")
    subprocess.run([sys.executable, CONVERTER, folder / "package" / "model", folder], check=True, capture_output=True)
    return folder


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def planes(picture):
    return np.asarray(picture, np.float32).transpose(2, 0, 1)[None]


def opened(photo):
    """The picture as it is shown."""
    return ImageOps.exif_transpose(Image.open(photo)).convert("RGB")


def detect(photo, **env):
    return json.loads(harness.run("detect", photo, "--json", env=env).stdout)["faces"]


def square(photo, box):
    """The square about the centre of a face's box, and where it begins."""
    side = max(box["width"], box["height"])
    left = round(box["left"] + (box["width"] - side) / 2 + 1e-9)
    top = round(box["top"] + (box["height"] - side) / 2 + 1e-9)
    picture = opened(photo).crop((left, top, left + side, top + side))
    return picture.resize((112, 112), Image.Resampling.BILINEAR), left, top, side


@pytest.mark.parametrize("ours, theirs", NETS.items())
def test_converted_model_agrees_with_the_reference_converter(attributes, reference, ours, theirs):
    mine, reference_net = session(attributes / ours), session(reference / theirs)
    assert [output.name for output in mine.get_outputs()] == [output.name for output in reference_net.get_outputs()]
    n_faces, largest = 0, 0.0
    for name in PORTRAITS:
        photo = harness.portrait(name)
        for face in detect(photo):
            crop = planes(square(photo, face["box"])[0])
            for a, b in zip(mine.run(None, {"input": crop}), reference_net.run(None, {"input": crop})):
                largest = max(largest, float(np.abs(a - b).max()))
            n_faces += 1
    print(f"{ours}: {n_faces} faces, largest difference {largest}")
    assert n_faces >= len(PORTRAITS)
    assert largest <= 1e-4


def test_pipeline_agrees_with_one_written_independently(attributes, reference):
    """JPEG decoders and bilinear filters differ by a grey level here and there, so the tolerances are wider than a model's."""
    nets = [session(reference / theirs) for theirs in NETS.values()]
    for name in PORTRAITS:
        photo = harness.portrait(name)
        # A pack with a face mesh takes its landmarks from that; the net of `attributes` serves packs without one.
        for face in detect(photo, LIKENESS_PACK="default-1"):
            crop, left, top, side = square(photo, face["box"])
            (landmarks,), (expressions,), (age, gender) = (net.run(None, {"input": planes(crop)}) for net in nets)
            places = landmarks.reshape(68, 2) * side + [left, top]
            assert np.abs(places - np.array(face["landmarks68"])).max() <= 0.02 * side + 0.1, name
            found = np.array([face["expressions"][word] for word in EXPRESSIONS])
            assert np.abs(expressions[0] - found).max() <= 0.05, name
            assert abs(float(age[0, 0]) - face["age"]) <= 1.5, name
            assert abs(float(gender[0, 0]) - face["male"]) <= 0.03, name


def stretch(width, height, box, scale):
    """The stretch around a face as Silent-Face-Anti-Spoofing cuts it: both corners belong to it."""
    scale = min((height - 1) / box["height"], (width - 1) / box["width"], scale)
    corners = []
    for start, size, end_max in ((box["left"], box["width"], width - 1), (box["top"], box["height"], height - 1)):
        first, last = start + size / 2 - size * scale / 2, start + size / 2 + size * scale / 2
        if first < 0:
            first, last = 0, last - first
        if last > end_max:
            first, last = first - (last - end_max), end_max
        corners.append((int(first), int(last)))
    return corners


def squeezed(pixels, side):
    """Bilinear between the four nearest pixels, without smoothing, as OpenCV's default."""
    def taps(length):
        at = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
        low = np.minimum(at.astype(int), max(length - 2, 0))
        return low, np.minimum(low + 1, length - 1), at - low

    (y0, y1, fy), (x0, x1, fx) = taps(pixels.shape[0]), taps(pixels.shape[1])
    fx, fy = fx[None, :, None], fy[:, None, None]
    rows = pixels[y0] * (1 - fy) + pixels[y1] * fy
    return np.round(rows[:, x0] * (1 - fx) + rows[:, x1] * fx)


def test_liveness_agrees_with_the_nets_run_by_hand(liveness):
    folder = harness.SHARED / "eval" / "liveness"
    if not folder.exists():
        pytest.skip("needs ../shared/eval/liveness")
    nets = [(2.7, session(liveness / "minifasnet_v2_2.7_80.onnx")), (4.0, session(liveness / "minifasnet_v1se_4.0_80.onnx"))]
    live = {}
    for photo in sorted(folder.glob("*.jpg")):
        face = detect(photo)[0]
        pixels = np.asarray(opened(photo), np.float64)[:, :, ::-1]
        shares = []
        for scale, net in nets:
            (x0, x1), (y0, y1) = stretch(pixels.shape[1], pixels.shape[0], face["box"], scale)
            crop = squeezed(pixels[y0 : y1 + 1, x0 : x1 + 1], 80).astype(np.float32).transpose(2, 0, 1)[None]
            shares.append(float(net.run(None, {"input": crop})[0][0, 1]))
        live[photo.stem] = face["liveness"]
        # A grey level of a JPEG decoder moves the print, which is near neither end, the most.
        assert abs(np.mean(shares) - face["liveness"]) <= 0.08, photo.name
    assert live["live_1"] > 0.9 and max(live["attack_1"], live["attack_2"]) < 0.5


MESH_ARCHIVE = "mediapipe-0.10.14-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
MESH_SIDE = 192


def mesh_crop(photo, box):
    """A square 1.5 times as wide as a face's box about its centre, as the mesh takes it: 1x192x192x3, 0 to 1."""
    side = 1.5 * max(box["width"], box["height"])
    left, top = box["left"] + box["width"] / 2 - side / 2, box["top"] + box["height"] / 2 - side / 2
    crop = opened(photo).transform(
        (MESH_SIDE, MESH_SIDE), Image.Transform.EXTENT, (left, top, left + side, top + side), Image.Resampling.BILINEAR
    )
    return np.asarray(crop, np.float32)[None] / 255


def test_converted_face_mesh_agrees_with_openvino_on_the_original(home, tmp_path):
    """Within 1e-4 of the crop's side, which is 0.02 pixels; sums in another order give a hundredth of that."""
    ours = session(pack(home, "default-2", "likeness pack install") / "face-mesh-468.onnx")
    archive = pathlib.Path(os.environ.get("LIKENESS_TEST_ARCHIVES", ".")) / MESH_ARCHIVE
    if not archive.exists():
        pytest.skip(f"needs {archive.name}")
    with zipfile.ZipFile(archive) as package:
        original = package.extract("mediapipe/modules/face_landmark/face_landmark.tflite", tmp_path)
    core = openvino.Core()
    # Without the hint OpenVINO may compute in 16 bits.
    theirs = core.compile_model(core.read_model(original), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    crops = [mesh_crop(harness.portrait(name), face["box"]) for name in PORTRAITS for face in detect(harness.portrait(name))]
    n_faces = len(crops)
    assert n_faces >= len(PORTRAITS)
    generator = np.random.default_rng(1)
    crops += [generator.random((1, MESH_SIDE, MESH_SIDE, 3), np.float32) for _ in range(10)]
    largest, largest_presence, presences = 0.0, 0.0, []
    for crop in crops:
        expected = {value.size: value.ravel() for value in theirs(crop).values()}
        points, presence = ours.run(["points", "presence"], {"input": crop.transpose(0, 3, 1, 2)})
        largest = max(largest, float(np.abs(points[0] - expected[1404]).max()))
        largest_presence = max(largest_presence, float(np.abs(presence[0] - expected[1]).max()))
        presences.append(float(presence[0, 0]))
    print(f"{n_faces} faces and 10 of noise: largest difference {largest} pixels, presence {largest_presence}")
    # Each portrait has a face; a box of the detector beyond those may be a false one, which the mesh is there to find out.
    assert sum(presence > 8 for presence in presences[:n_faces]) >= len(PORTRAITS)
    assert max(presences[n_faces:]) < 0
    assert largest <= 1e-4 * MESH_SIDE
    assert largest_presence <= 1e-3
