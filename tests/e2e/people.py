"""Photographs by their part in the story, for suites that send bytes."""

import io
import types

import harness
from PIL import Image


def jpeg(image, format="JPEG", **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def photos():
    """P1 and P1b show one person, P2 another, nobody no one; as bytes."""
    names = {"P1": "obama.jpg", "P1b": "obama2.jpg", "P2": "biden.jpg"}
    found = {role: harness.portrait(name).read_bytes() for role, name in names.items()}
    nobody = jpeg(Image.linear_gradient("L").resize((320, 240)).convert("RGB"))
    return types.SimpleNamespace(**found, nobody=nobody)
