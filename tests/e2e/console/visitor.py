"""A browser that visits the console and takes notes: what it complained of, and where its requests went."""

import contextlib
import json
import os
import pathlib
import shutil
import urllib.error
import urllib.parse
import urllib.request

CHROMIUM = os.environ.get("LIKENESS_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

# Screenshots go here if it is set, to be looked at by people.
SHOTS = os.environ.get("LIKENESS_TEST_SHOTS")

# A face is found in a debug build, on a busy machine.
PATIENT_MS = 120_000

# Addresses of all pages, below `/console`, of a library with the face set `staff` and the person `anna`.
PAGES = {
    "sets": "/",
    "faces": "/sets/staff",
    "enrol": "/sets/staff/enrol",
    "thresholds": "/sets/staff/thresholds",
    "settings": "/sets/staff/settings",
    "persons": "/persons",
    "person": "/persons/anna",
    "review": "/review?set=staff",
    "search": "/search?set=staff",
    "compare": "/compare",
    "detect": "/detect",
    "liveness": "/liveness",
    "jobs": "/jobs",
    "keys": "/keys",
    "health": "/health",
    "server-settings": "/settings",
    "api": "/api",
}


def launch(playwright):
    # Chromium's own sandbox needs rights that a container seldom gives; only our own pages are opened.
    flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    return playwright.chromium.launch(executable_path=CHROMIUM, args=flags)


class Visitor:
    """One browser profile at one server."""

    def __init__(self, browser, url, theme="light", locale="en-GB", size=(1280, 860)):
        self.url = url
        self.problems = []
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme, locale=locale, reduced_motion="reduce"
        )
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENT_MS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        self.page.on("request", self._request)

    def _console(self, message):
        # What is merely told too, such as a focus that was not taken.
        if message.type in ("error", "warning", "info"):
            self.problems.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def _request(self, request):
        if not request.url.startswith((self.url, "blob:")):
            self.problems.append(f"a request to another host: {request.url}")

    def open(self, path="/"):
        self.page.goto(f"{self.url}/console{path}")
        return self.page

    def sign_in(self, key):
        page = self.open()
        page.locator("input[type=password]").fill(f"{key.id}.{key.secret}")
        page.locator("form button.primary").click()
        page.locator("#main").wait_for()
        return page

    def visit(self, path):
        """Opens a page, signed in, and waits until it has what it shows."""
        page = self.open(path)
        page.locator("#main h1").wait_for()
        page.wait_for_load_state("networkidle")
        return page

    def choose_files(self, *paths, nth=0):
        self.page.locator("input[data-role=files]").nth(nth).set_input_files([str(path) for path in paths])

    def shot(self, name):
        if SHOTS:
            folder = pathlib.Path(SHOTS)
            folder.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(folder / f"{name}.png"))

    def close(self):
        self.context.close()


@contextlib.contextmanager
def visiting(browser, url, **options):
    visitor = Visitor(browser, url, **options)
    try:
        yield visitor
    finally:
        visitor.close()


def call(server, key, method, path, body=None, image=None):
    """One call of the native API; returns the answer, or the error as (status, code)."""
    data = image if image is not None else None if body is None else json.dumps(body).encode()
    kind = "application/octet-stream" if image is not None else "application/json"
    request = urllib.request.Request(f"{server.url}/likeness/v1{path}", data=data, method=method)
    request.add_header("Authorization", f"Bearer {key.id}.{key.secret}")
    request.add_header("Content-Type", kind)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]["code"]


def enrol(server, key, set_name, image, subject=None):
    query = f"?subject={urllib.parse.quote(subject)}" if subject else ""
    return call(server, key, "POST", f"/face-sets/{set_name}/faces{query}", image=image)
