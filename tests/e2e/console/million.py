"""A library of a million faces that are made up, and how long its page takes in a browser.

`python tests/e2e/console/million.py [N]` fills a face set through `likeness import`, serves it with `LIKENESS_BIN` (a release
build, for figures) and prints times of the page: until the first faces are shown, at the end of the list, in its middle, and
for steps of the scroll bar. `docs/console.md` has the figures.
"""

import array
import base64
import json
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness
import visitor
from playwright.sync_api import sync_playwright

N_DIMENSIONS = 128
# Whether every place in sight has its face.
IN_SIGHT = """(list) => {
    const box = list.getBoundingClientRect();
    const places = [...list.querySelectorAll("[role=listitem]")].filter((one) => {
        const at = one.getBoundingClientRect();
        return at.bottom > box.top && at.top < box.bottom;
    });
    return places.length > 0 && places.every((one) => one.querySelector("strong"));
}"""
STEPS = 20


def archive(to, n_faces):
    """Writes an archive line by line: vectors of random bytes, which are strangers to each other."""
    header = {"format": "likeness-archive", "version": 1, "pack": "default-2", "dimensions": N_DIMENSIONS, "faces": n_faces}
    to.write(json.dumps(header).encode() + b"\n")
    for number in range(n_faces):
        vector = array.array("f", (byte - 127.5 for byte in os.urandom(N_DIMENSIONS)))
        face = {"template": base64.b64encode(vector.tobytes()).decode(), "subject": f"person {number:07}", "external_id": f"photo-{number}"}
        to.write(json.dumps(face).encode() + b"\n")


def fill(data, n_faces):
    file = data.parent / "archive.jsonl"
    with file.open("wb") as to:
        archive(to, n_faces)
    started = time.monotonic()
    harness.run("import", file, "--set", "many", "--data", data, "--tenant", "acme")
    file.unlink()
    print(f"{n_faces} faces imported in {time.monotonic() - started:.0f} s", flush=True)


def until(page, text, act):
    """Milliseconds from an act until a text is there."""
    started = time.monotonic()
    act()
    page.get_by_text(text, exact=True).first.wait_for()
    return (time.monotonic() - started) * 1000


def main():
    n_faces = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        data.mkdir(mode=0o700)
        harness.create_key(data, "acme")
        fill(data, n_faces)
        started = time.monotonic()
        with harness.Server(data) as server, sync_playwright() as playwright:
            print(f"served after {time.monotonic() - started:.1f} s")
            key = harness.create_key(data, "acme")
            one = visitor.Visitor(visitor.launch(playwright), server.url)
            page = one.sign_in(key)
            page.get_by_text("many", exact=True).first.wait_for()
            times = [until(page, "person 0000000", lambda: one.open("/sets/many")) for _ in range(5)]
            print("opened, first faces shown, ms:", [round(time) for time in times])
            faces = page.get_by_role("list", name="faces")
            last = f"person {n_faces - 1:07}"
            faces.focus()
            print("End, ms:", round(until(page, last, lambda: page.keyboard.press("End"))))
            print("Home, ms:", round(until(page, "person 0000000", lambda: page.keyboard.press("Home"))))
            jumps = []
            for step in range(STEPS):
                share = (step * 7 % STEPS + 0.5) / STEPS
                started = time.monotonic()
                faces.evaluate("(list, share) => (list.scrollTop = (list.scrollHeight - list.clientHeight) * share)", share)
                # CSP forbids to evaluate texts again and again, so each frame is looked at from here.
                while not faces.evaluate(IN_SIGHT):
                    pass
                jumps.append((time.monotonic() - started) * 1000)
            print("jumps, ms, median and most:", round(sorted(jumps)[STEPS // 2]), round(max(jumps)))
            print("elements of the list:", page.locator("[role=listitem]").count())
            print("complaints:", one.problems)


if __name__ == "__main__":
    main()
