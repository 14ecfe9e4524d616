"""What OpenVINO computes from the original face mesh model, for made-up pictures.

usage: face_mesh_reference.py face_landmark.tflite > face_mesh_reference.json
The model is `mediapipe/modules/face_landmark/face_landmark.tflite` in PyPI mediapipe 0.10.14. OpenVINO reads it itself, so
nothing here has passed through our own conversion. Needs openvino 2026.4.1 and numpy 2.
Prints a JSON object: the name of each picture with the 1404 numbers of the points and the presence score.
"""

import json
import sys

import numpy as np
import openvino

SIDE = 192


def noise():
    """Bytes of a linear congruential generator (the constants of Numerical Recipes), rows of red, green, blue."""
    state, numbers = 1, np.empty(SIDE * SIDE * 3, np.uint8)
    for place in range(len(numbers)):
        state = (state * 1664525 + 1013904223) % 2**32
        numbers[place] = state >> 24
    return numbers.reshape(SIDE, SIDE, 3)


def drawn_face():
    """A light oval with darker eyes, nose and mouth on a gradient."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    picture = np.stack([y // 2 + 40, x // 2 + 40, (x + y) // 4 + 30], axis=2)

    def oval(centre_x, centre_y, radius_x, radius_y, colour):
        # In whole numbers, so that every language draws the same.
        inside = ((x - centre_x) * radius_y) ** 2 + ((y - centre_y) * radius_x) ** 2 <= (radius_x * radius_y) ** 2
        picture[inside] = colour

    oval(96, 100, 52, 70, (224, 180, 150))
    oval(74, 82, 11, 5, (60, 40, 30))
    oval(118, 82, 11, 5, (60, 40, 30))
    oval(96, 108, 7, 12, (200, 150, 120))
    oval(96, 138, 22, 6, (170, 70, 70))
    return picture.astype(np.uint8)


def main():
    core = openvino.Core()
    model = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = {}
    for name, picture in {"noise": noise(), "drawn_face": drawn_face()}.items():
        outputs = {value.size: value.ravel() for value in model(picture[None].astype(np.float32) / 255).values()}
        points = [round(float(number), 4) for number in outputs[1404]]
        results[name] = {"presence": round(float(outputs[1][0]), 4), "points": points}
    json.dump(results, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
