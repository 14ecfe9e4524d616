"""Makes the pictures of `docs/console.md`: `.venvs/console/bin/python tests/e2e/console/pictures.py`.

Everybody in them is made up but one: the portrait of Eileen Collins is by NASA and in the public domain; it comes out of
the PyPI package scikit-image at the time of making. Needs the binary with the console in it, pip and Chromium.
"""

import base64
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import harness
import visitor
from PIL import Image, ImageEnhance
from playwright.sync_api import sync_playwright

OUT = harness.ROOT / "docs" / "console"
NAMES = ["Ada Winter", "Ben Oduya", "Carla Monti", "Dai Sato", "Emil Berg", "Fatma Aydin", "Gil Navarro", "Hana Novak"]
DIMENSIONS = 128


def portrait(folder):
    """The portrait, and a second photograph made of it: cut, tilted and darker."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "-d", folder, "scikit-image==0.26.0"],
        check=True,
    )
    (wheel,) = pathlib.Path(folder).glob("scikit_image-*.whl")
    with zipfile.ZipFile(wheel) as package:
        first = pathlib.Path(package.extract("skimage/data/astronaut.png", folder))
    image = Image.open(first).convert("RGB")
    first = first.with_name("eileen-collins.jpg")
    image.save(first, quality=95)
    second = first.with_name("entrance.jpg")
    tilted = image.rotate(7, Image.Resampling.BICUBIC, expand=False).crop((60, 20, 420, 330)).resize((900, 775), Image.Resampling.LANCZOS)
    ImageEnhance.Brightness(tilted).enhance(0.72).save(second, quality=80)
    return first, second


def somebody(rng):
    """A made-up person: a random direction."""
    return [rng.gauss(0, 1) for _ in range(DIMENSIONS)]


def observed(rng, person):
    """A template of that person, with a cosine of about 0.7 to another one."""
    numbers = [value + rng.gauss(0, 0.65) for value in person]
    return base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *numbers)).decode()


def fill(server, key, first):
    """A library that somebody could have: two sets, persons, keys."""
    visitor.call(server, key, "POST", "/face-sets", {"name": "staff", "label": "Our staff", "note": "Everybody with a badge.", "thumbnails": True, "fields": [{"name": "room", "type": "integer"}]})
    visitor.call(server, key, "POST", "/face-sets", {"name": "visitors", "label": "Visitors", "capacity": 500})
    rng = random.Random(7)
    faces = []
    for idx, name in enumerate(NAMES):
        person = somebody(rng)
        faces += [{"subject": name, "external_id": f"badge-{idx:03}-{nth}", "template": observed(rng, person)} for nth in range(3 + idx % 4)]
    faces += [{"template": observed(rng, somebody(rng))} for _ in range(3)]
    pack = visitor.call(server, key, "GET", "/face-sets/staff")["pack"]
    answer = visitor.call(server, key, "POST", "/face-sets/staff/archive", {"pack": pack, "faces": faces})
    assert isinstance(answer, dict), answer
    visitor.enrol(server, key, "staff", first.read_bytes(), "Eileen Collins")
    visitor.call(server, key, "POST", "/keys", {"label": "front desk", "grants": ["search"], "face_sets": ["staff"], "expires_in_s": 90 * 86400})
    visitor.call(server, key, "POST", "/keys", {"label": "personnel office", "grants": ["read", "search", "enrol"]})


def keep(page, name):
    """A screenshot with few colours: the pictures are part of the repository."""
    page.wait_for_timeout(300)
    path = OUT / f"{name}.png"
    page.screenshot(path=str(path))
    Image.open(path).convert("RGB").quantize(160, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path.name, path.stat().st_size)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, harness.Server(f"{folder}/data") as server, sync_playwright() as playwright:
        first, second = portrait(folder)
        made = harness.run("key", "create", "--data", server.data, "--tenant", "acme", "--grant", "read,search,enrol,delete,manage,templates", "--label", "administrator", "--json")
        key = harness.Key(json.loads(made.stdout))
        fill(server, key, first)
        browser = visitor.launch(playwright)
        light = visitor.Visitor(browser, server.url, size=(1200, 840))
        page = light.sign_in(key)
        keep(light.visit("/"), "face-sets")
        light.visit("/sets/staff/enrol")
        light.choose_files(second)
        page.get_by_text("Looks like Eileen Collins").wait_for()
        page.evaluate("scrollTo(0, 170)")
        keep(page, "enrol")
        light.visit("/search?set=staff")
        light.choose_files(second)
        page.locator("ol.people > li").first.wait_for()
        keep(page, "search")
        keep(light.visit("/keys"), "keys")
        dark = visitor.Visitor(browser, server.url, theme="dark", size=(1200, 840))
        page = dark.sign_in(key)
        dark.visit("/detect")
        dark.choose_files(first)
        page.locator("dl.facts").wait_for()
        keep(page, "detect")
        dark.visit("/sets/staff/thresholds")
        page.get_by_role("button", name="Measure").click()
        page.get_by_text("pairs of different names").wait_for()
        page.evaluate("scrollTo(0, 300)")
        keep(page, "thresholds")


if __name__ == "__main__":
    main()
