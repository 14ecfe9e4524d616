"""The console in a real browser: every page, by keyboard and mouse, as those who may do everything and as those who may not."""

import base64
import io
import json
import re
import urllib.error
import urllib.request

import harness
import people
import pytest
import visitor
from PIL import Image, ImageFilter
from axe_playwright_python.sync_playwright import Axe
from conftest import limited_key
from playwright.sync_api import expect
from visitor import PAGES, PATIENT_MS, call

# Faces are found in a debug build, on a busy machine.
expect.set_options(timeout=PATIENT_MS)

BUNDLE_BYTES_MAX = 300 * 1024
FIRST_PAINT_MS_MAX = 1000


def axe_findings(page):
    """Serious and critical findings of axe, in a line each."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


# ---- signing in


def test_a_key_signs_in_and_is_kept_nowhere(visit, key):
    one = visit()
    page = one.sign_in(key)
    expect(page.locator("aside")).to_contain_text(key.tenant)
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert key.secret not in kept and key.id not in kept
    assert page.evaluate("document.cookie") == ""
    (cookie,) = one.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    page.reload()
    expect(page.locator("aside")).to_contain_text(key.tenant)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_wrong_key_is_refused(visit, key):
    one = visit()
    page = one.open()
    page.locator("input[type=password]").fill(f"{key.id}.wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("The key is not valid.")
    one.problems = [problem for problem in one.problems if "401" not in problem]
    # What cannot be a key is not asked about.
    page.locator("input[type=password]").fill("nodot")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("two parts with a dot between them")


def test_a_session_ends_with_its_key(visit, server, key):
    one = visit()
    page = one.sign_in(key)
    harness.run("key", "disable", "--data", server.data, key.id)
    # A call of the page's own may tell it before the click does, and then the link is gone.
    page.evaluate("() => document.querySelector('aside a[href$=\"/compare\"]')?.click()")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("You were signed out")).to_be_visible()
    # The browser notes that calls were refused, which is what this test is about.
    one.problems = [problem for problem in one.problems if "403 (Forbidden)" not in problem and "401" not in problem]


def test_the_owner_s_link_is_good_once(visit, server, key):
    link = json.loads(harness.run("console", "--data", server.data, "--tenant", key.tenant, "--json").stdout)["url"]
    assert link.startswith(f"{server.url}/console/#ticket=")
    page = visit().page
    page.goto(link)
    expect(page.locator("aside")).to_contain_text("Owner of the data folder")
    assert "ticket" not in page.url
    second = visit()
    second.page.goto(link)
    expect(second.page.get_by_role("alert")).to_contain_text("Run `likeness console` again")
    # The browser notes that the link was refused, which is what this test is about.
    second.problems = [problem for problem in second.problems if "401" not in problem]


def test_another_tab_that_signs_in_otherwise_takes_this_one_along(visit, server, library):
    """Finding of a fresh user: what one tab showed of one tenant was deleted in another's, by the cookie of a second tab."""
    other = harness.Key(**json.loads(harness.run("key", "create", "--data", server.data, "--tenant", f"{library.tenant}-other", "--json").stdout))
    call(server, other, "POST", "/persons", {"key": "anna", "name": "Another Anna"})
    one = visit()
    page = one.sign_in(library)
    one.visit("/persons/anna")
    expect(page.get_by_role("heading", name="Anna Example")).to_be_visible()
    second = one.context.new_page()
    second.goto(f"{server.url}/console/compare")
    second.get_by_role("button", name="Sign out").click()
    # Whoever signs out does so everywhere.
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "Anna Example" not in page.content()
    second.locator("input[type=password]").fill(f"{library.id}.{library.secret}")
    second.keyboard.press("Enter")
    expect(second.locator("aside")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Anna Example")).to_be_visible()
    page.wait_for_load_state("networkidle")
    # A tab that hears nothing of it, as one that the browser has put to sleep: its request is refused.
    second.evaluate("BroadcastChannel.prototype.postMessage = () => {}")
    second.get_by_role("button", name="Sign out").click()
    second.locator("input[type=password]").fill(f"{other.id}.{other.secret}")
    second.keyboard.press("Enter")
    expect(second.locator("aside")).to_contain_text(other.tenant)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("anna")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    # It is not done, is said why, and the page shows what it would have been done to.
    expect(page.get_by_text("Another tab has signed in with another key")).to_be_visible()
    expect(page.get_by_role("heading", name="Another Anna")).to_be_visible()
    assert call(server, other, "GET", "/persons/anna")["name"] == "Another Anna"
    assert call(server, library, "GET", "/persons/anna")["name"] == "Anna Example"
    one.problems = [problem for problem in one.problems if "403" not in problem]


def test_an_empty_folder_gets_a_tenant_and_a_console(browser, server, tmp_path):
    """`server` is named so that this is skipped as well where the binary has no console."""
    without = harness.run("console", "--data", tmp_path / "none", check=False)
    assert without.returncode == 2 and "likeness serve" in without.stderr
    with harness.Server(tmp_path / "data") as fresh:
        link = json.loads(harness.run("console", "--data", fresh.data, "--json").stdout)["url"]
        with visitor.visiting(browser, fresh.url) as one:
            one.page.goto(link)
            expect(one.page.get_by_role("heading", name="No face set yet")).to_be_visible()
            assert one.problems == []


# ---- a new user


def test_from_nothing_to_finding_a_person(visit, key, photos, tmp_path):
    files = {}
    for name, image in {"anna.jpg": photos.P1, "bert.jpg": photos.P2, "visitor.jpg": photos.P1b}.items():
        files[name] = tmp_path / name
        files[name].write_bytes(image)
    one = visit()
    page = one.sign_in(key)
    page.get_by_role("button", name="New face set").click()
    page.get_by_label("Name", exact=False).first.fill("staff")
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/sets/staff/enrol")
    one.choose_files(files["anna.jpg"], files["bert.jpg"])
    page.get_by_role("button", name="Enrol 2 faces").click()
    expect(page.get_by_text("1 enrolled")).to_have_count(2)
    page.get_by_role("link", name="Search in it").click()
    one.choose_files(files["visitor.jpg"])
    first = page.locator("ol.people > li").first
    expect(first).to_contain_text("anna")
    expect(page.locator("ol.people").first.locator("li")).to_have_count(1)
    # A threshold that nobody reaches says so.
    page.locator("input[type=range]").evaluate("(e) => { e.value = e.max; e.dispatchEvent(new Event('input', {bubbles: true})); }")
    one.shot("search")


def test_one_face_of_a_group_picture(visit, server, key, tmp_path):
    call(server, key, "POST", "/face-sets", {"name": "staff"})
    one = visit()
    page = one.sign_in(key)
    one.visit("/sets/staff/enrol")
    one.choose_files(harness.portrait("obama_and_biden.jpg"))
    boxes = page.get_by_role("checkbox", name=re.compile("^Face"))
    expect(boxes.nth(1)).to_be_visible()
    # By keyboard: the second face instead of the first.
    boxes.nth(0).focus()
    page.keyboard.press("Space")
    boxes.nth(1).focus()
    page.keyboard.press("Space")
    expect(boxes.nth(1)).to_have_attribute("aria-checked", "true")
    page.get_by_placeholder("Who is it?").fill("joe")
    page.get_by_role("button", name="Enrol this face").click()
    expect(page.get_by_text("1 enrolled")).to_be_visible()
    (face,) = call(server, key, "GET", "/face-sets/staff/faces")["faces"]
    assert face["subject"] == "joe"
    found = call(server, key, "POST", "/face-sets/staff/search", image=harness.portrait("biden.jpg").read_bytes())
    assert [candidate["face"]["id"] for candidate in found["candidates"]] == [face["id"]]


def test_the_chosen_face_of_a_group_picture_is_searched_for(visit, server, key, photos):
    """Finding of a fresh user: the first face was marked, and the answer was that of another one."""
    call(server, key, "POST", "/face-sets", {"name": "staff"})
    visitor.enrol(server, key, "staff", photos.P1, "barack")
    visitor.enrol(server, key, "staff", photos.P2, "joe")
    group = harness.portrait("obama_and_biden.jpg")
    # Joe stands on the left, and behind the two there is a child.
    lefts = [face["box"]["left"] for face in call(server, key, "POST", "/detect", image=group.read_bytes())["faces"][:2]]
    names = ["joe" if left == min(lefts) else "barack" for left in lefts]
    one = visit()
    page = one.sign_in(key)
    one.visit("/search?set=staff")
    one.choose_files(group)
    for idx, name in enumerate(names):
        if idx > 0:
            page.get_by_role("checkbox", name=f"Face {idx + 1}").click()
        expect(page.get_by_role("checkbox", name=f"Face {idx + 1}")).to_be_checked()
        expect(page.locator("ol.people").first.locator("li").first).to_contain_text(name)
    expect(page.get_by_role("slider", name="Threshold")).to_be_visible()


def test_a_picture_after_one_that_cannot_be_shown_is_shown(visit, library, photos, tmp_path):
    """Finding of a fresh user: after one unreadable file no picture was shown any more."""
    (tmp_path / "note.txt").write_text("no picture")
    (tmp_path / "good.jpg").write_bytes(photos.P1)
    one = visit()
    page = one.sign_in(library)
    one.visit("/detect")
    one.choose_files(tmp_path / "note.txt")
    expect(page.get_by_text("The browser cannot show note.txt.")).to_be_visible()
    one.choose_files(tmp_path / "good.jpg")
    expect(page.get_by_role("img", name="good.jpg")).to_be_visible()
    expect(page.get_by_text("1 face")).to_be_visible()
    one.problems = [problem for problem in one.problems if "42" not in problem and "400" not in problem]


def test_leaving_what_was_looked_over_asks(visit, library, photos, tmp_path):
    """Choices and names made by hand went without a word."""
    (tmp_path / "anna.jpg").write_bytes(photos.P1)
    one = visit()
    page = one.sign_in(library)
    one.visit("/sets/staff")
    page.get_by_role("link", name="Enrol", exact=True).click()
    one.choose_files(tmp_path / "anna.jpg")
    page.get_by_placeholder("Who is it?").fill("Anna")
    asked = []
    answers = iter([False, False, True])

    def answer(dialog):
        asked.append(dialog.message)
        dialog.accept() if next(answers) else dialog.dismiss()

    page.on("dialog", answer)
    page.get_by_role("link", name="Persons").click()
    expect(page.get_by_placeholder("Who is it?")).to_have_value("Anna")
    page.evaluate("history.back()")
    page.wait_for_url("**/sets/staff/enrol")
    expect(page.get_by_placeholder("Who is it?")).to_have_value("Anna")
    page.get_by_role("link", name="Persons").click()
    expect(page.get_by_role("heading", name="Persons")).to_be_visible()
    assert len(asked) == 3 and "not enrolled yet" in asked[0]
    # Where nothing is lost, nothing is asked.
    one.visit("/sets/staff/enrol")
    page.get_by_role("link", name="Persons").click()
    expect(page.get_by_role("heading", name="Persons")).to_be_visible()
    assert len(asked) == 3


def test_what_is_refused_says_why(visit, server, key, photos, tmp_path):
    call(server, key, "POST", "/face-sets", {"name": "staff"})
    nobody = tmp_path / "nobody.jpg"
    nobody.write_bytes(photos.nobody)
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(photos.P1[:2000])
    one = visit()
    page = one.sign_in(key)
    one.visit("/sets/staff/enrol")
    one.choose_files(nobody)
    expect(page.get_by_text("No face was found in this picture.")).to_be_visible()
    one.choose_files(damaged)
    expect(page.get_by_role("alert")).to_be_visible()
    # The browser says that a call was answered with an error, which is what this test is about.
    one.problems = [problem for problem in one.problems if "422" not in problem]


def test_many_pictures_are_enrolled_at_once(visit, server, key, photos, tmp_path):
    call(server, key, "POST", "/face-sets", {"name": "staff"})
    files = [tmp_path / f"nobody_{idx:02}.jpg" for idx in range(24)] + [tmp_path / "anna_01.jpg"]
    for file in files:
        file.write_bytes(photos.P1 if file.name.startswith("anna") else photos.nobody)
    others = [tmp_path / "note.txt", tmp_path / "empty.jpg"]
    others[0].write_text("no picture")
    others[1].touch()
    one = visit()
    page = one.sign_in(key)
    one.visit("/sets/staff/enrol")
    one.choose_files(*files, *others)
    expect(page.get_by_text("2 of the files are no pictures")).to_be_visible()
    page.get_by_role("button", name="Enrol from 25 pictures").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible(timeout=PATIENT_MS)
    expect(page.get_by_text("26 not enrolled")).to_be_visible()
    page.get_by_text("What was not enrolled, and why").click()
    expect(page.get_by_role("row", name=re.compile("nobody_07.jpg"))).to_contain_text("face")
    (face,) = call(server, key, "GET", "/face-sets/staff/faces")["faces"]
    assert face["subject"] == "anna"
    # The same is told by the job, also to whoever was away meanwhile.
    one.visit("/jobs")
    expect(page.get_by_text("25 of 25 images")).to_be_visible()
    page.get_by_role("button", name="Outcome").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("1 enrolled")).to_be_visible()
    expect(dialog.locator("tbody tr")).to_have_count(24)
    assert axe_findings(page) == []
    one.shot("jobs-outcome")


def many_pictures(visit, server, key, photos, tmp_path):
    """The enrolment page of a new set, and more pictures than are shown one by one."""
    call(server, key, "POST", "/face-sets", {"name": "staff"})
    files = [tmp_path / f"anna_{idx:02}.jpg" for idx in range(25)]
    for file in files:
        file.write_bytes(photos.P1)
    one = visit()
    page = one.sign_in(key)
    one.visit("/sets/staff/enrol")
    return one, page, files


def test_pictures_for_which_a_job_has_no_room_are_enrolled_at_once(visit, server, key, photos, tmp_path):
    one, page, files = many_pictures(visit, server, key, photos, tmp_path)
    full = {"error": {"code": "overloaded", "message": "no room", "request_id": "x"}}
    one.context.route(re.compile(r"/uploads$"), lambda route: route.fulfill(status=503, json=full))
    one.choose_files(*files)
    page.get_by_role("button", name="Enrol from 25 pictures").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible(timeout=PATIENT_MS)
    expect(page.get_by_text("25 enrolled")).to_be_visible()
    assert call(server, key, "GET", "/jobs")["jobs"] == []
    one.problems = [problem for problem in one.problems if "503" not in problem]


def test_a_job_whose_state_cannot_be_asked_for_a_moment_is_followed_on(visit, server, key, photos, tmp_path):
    one, page, files = many_pictures(visit, server, key, photos, tmp_path)
    asked = []

    def answer(route):
        asked.append(route.request.url)
        route.fulfill(status=502, body="proxy") if len(asked) <= 3 else route.continue_()

    one.context.route(re.compile(r"/jobs/[^/]+$"), answer)
    one.choose_files(*files)
    page.get_by_role("button", name="Enrol from 25 pictures").click()
    expect(page.get_by_text("25 enrolled")).to_be_visible(timeout=PATIENT_MS)
    assert len(asked) > 3
    one.problems = [problem for problem in one.problems if "502" not in problem]


def test_a_job_that_is_cancelled_elsewhere_stops_the_page(visit, server, key, photos, tmp_path):
    """It went on with the next part, and the pictures of the first were neither enrolled nor told of."""
    one, page, files = many_pictures(visit, server, key, photos, tmp_path)
    held = []
    one.context.route(re.compile(r"/jobs/[^/]+$"), lambda route: held.append(route) if route.request.method == "GET" else route.continue_())
    one.choose_files(*files)
    page.get_by_role("button", name="Enrol from 25 pictures").click()
    with page.expect_request(re.compile(r"/jobs/[^/]+$")):
        pass
    (job,) = call(server, key, "GET", "/jobs")["jobs"]
    call(server, key, "DELETE", f"/jobs/{job['id']}")
    one.context.unroute_all()
    for route in held:
        route.continue_()
    expect(page.get_by_role("heading", name="Stopped")).to_be_visible()
    # Told when the picture that was being looked at is done, too.
    enrolled = len(call(server, key, "GET", "/face-sets/staff/faces")["faces"])
    assert enrolled < 25
    expect(page.get_by_text(f"{enrolled} enrolled")).to_be_visible()
    expect(page.get_by_text(f"{25 - enrolled} not enrolled")).to_be_visible()
    one.shot("job-cancelled")


def test_a_server_that_is_busy_is_asked_again(visit, library, photos, tmp_path):
    (tmp_path / "someone.jpg").write_bytes(photos.P1)
    busy = {"error": {"code": "overloaded", "message": "64 images are waiting already", "request_id": "x"}}
    refused = []

    def answer(route):
        refused.append(route.request.url)
        route.fulfill(status=503, json=busy, headers={"Retry-After": "1"}) if len(refused) <= 2 else route.continue_()

    one = visit()
    page = one.sign_in(library)
    one.context.route(re.compile(r"/detect\?"), answer)
    one.visit("/search?set=staff")
    one.choose_files(tmp_path / "someone.jpg")
    expect(page.locator("ol.people > li").first).to_contain_text("barack")
    assert len(refused) == 3
    one.problems = [problem for problem in one.problems if "503" not in problem]


def test_a_key_that_may_only_enrol_sends_many_pictures_one_by_one(visit, server, key, photos, tmp_path):
    call(server, key, "POST", "/face-sets", {"name": "staff"})
    made = call(server, key, "POST", "/keys", {"grants": ["enrol"], "face_sets": ["staff"]})
    files = [tmp_path / "anna.jpg", tmp_path / "nobody.jpg"]
    files[0].write_bytes(photos.P1)
    files[1].write_bytes(photos.nobody)
    one = visit()
    page = one.sign_in(harness.Key(access_key_id=made["id"], access_key_secret=made["secret"]))
    one.visit("/sets/staff/enrol")
    one.choose_files(*files)
    page.get_by_role("button", name="Enrol from 2 pictures").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible(timeout=PATIENT_MS)
    expect(page.get_by_text("1 enrolled")).to_be_visible()
    assert call(server, key, "GET", "/jobs")["jobs"] == []
    one.problems = [problem for problem in one.problems if "422" not in problem]


def test_pictures_come_by_drop_and_paste(visit, library, photos):
    one = visit()
    page = one.sign_in(library)
    transfer = """async ([kind, base64]) => {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "picture.jpg", { type: "image/jpeg" }));
        const zone = document.querySelector(".zone");
        if (kind === "drop") zone.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        else document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }"""
    for kind in ("drop", "paste"):
        one.visit("/search?set=staff")
        page.evaluate(transfer, [kind, base64.b64encode(photos.P1b).decode()])
        expect(page.locator("ol.people > li").first).to_be_visible(timeout=PATIENT_MS)


def test_a_likeness_is_shown_before_it_is_enrolled(visit, library, photos, tmp_path):
    again = tmp_path / "again.jpg"
    again.write_bytes(photos.P1)
    one = visit()
    page = one.sign_in(library)
    one.visit("/sets/staff/enrol")
    one.choose_files(again)
    expect(page.get_by_text("Looks like barack")).to_be_visible()
    page.get_by_role("button", name="Use this name").click()
    expect(page.get_by_placeholder("Who is it?")).to_have_value("barack")


def test_a_dialog_that_is_opened_again_at_once_stays(visit, library):
    """The browser tells that a dialog was closed some time after it: that must not close, or keep from opening, the next one."""
    page = visit().sign_in(library)
    at_once = """async ([name, leave]) => {
        const opener = [...document.querySelectorAll("button")].find((one) => one.innerText.includes(name));
        opener.click();
        // What the page does by itself comes before this turn's end, what the browser tells it afterwards.
        await Promise.resolve().then(() => {}).then(() => {});
        const dialog = document.querySelector("dialog[open]");
        if (leave === "escape") dialog.requestClose();
        else dialog.querySelector("button").click();
        await Promise.resolve().then(() => {}).then(() => {});
        const wasClosed = !document.querySelector("dialog[open]");
        opener.click();
        await new Promise((resolve) => dialog.isConnected ? dialog.addEventListener("close", () => resolve()) : resolve());
        await new Promise(requestAnimationFrame);
        return wasClosed;
    }"""
    for path, name in (("/console/sets/staff", "Without a name"), ("/console/", "New face set")):
        for leave in ("escape", "button"):
            page.goto(page.url.split("/console/")[0] + path)
            page.get_by_role("button", name=re.compile(name, re.I)).first.wait_for()
            assert page.evaluate(at_once, [name, leave]), (name, leave)
            expect(page.get_by_role("dialog")).to_be_visible()


def test_everything_goes_by_keyboard(visit, library, photos, tmp_path):
    """From the sign-in to a face that is named, without a mouse."""
    one = visit()
    page = one.open()

    def tab_to(name, steps=60):
        for _ in range(steps):
            page.keyboard.press("Tab")
            focused = page.evaluate("(document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText ?? '').trim()")
            if re.search(name, focused):
                return
        raise AssertionError(f"nothing named {name} takes the focus")

    expect(page.locator("input[type=password]")).to_be_focused()
    page.keyboard.type(f"{library.id}.{library.secret}")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Our staff").wait_for()
    page.evaluate("document.activeElement.blur()")
    tab_to("^Skip to the content$", 1)
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    tab_to("^Our staff")
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile("without a name", re.I)).wait_for()
    tab_to("Without a name")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    # The focus is where something is to be filled in, and comes back from there.
    expect(dialog.get_by_label("Who it is")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name=re.compile("without a name", re.I))).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("somebody")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=re.compile("somebody"))).to_be_visible()
    tab_to("^Undo$", 120)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=re.compile("somebody"))).to_have_count(0)
    # A choice of one takes one step of the tabulator, and the arrow keys.
    page.get_by_role("radio", name="As the system").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_links_lead_whoever_opens_them_to_the_place(visit, server, library):
    """Also whoever has to sign in first."""
    faces = call(server, library, "GET", "/face-sets/staff/faces")["faces"]
    places = {
        f"/sets/staff?face={faces[0]['id']}": "Who looks like it",
        "/sets/staff?find=joe": "1 face",
        f"/search?set=staff&face={faces[0]['id']}": "Looking for",
        "/persons/anna": "Member of",
        "/api?op=create_face_set": "make a face set",
    }
    for path, shown in places.items():
        one = visit()
        page = one.open(path)
        page.locator("input[type=password]").fill(f"{library.id}.{library.secret}")
        page.keyboard.press("Enter")
        expect(page.get_by_text(shown, exact=False).first).to_be_visible()
        assert page.url.endswith(path)


# ---- in the reader's language


@pytest.mark.parametrize(
    "locale, format, said, light, why, setting",
    [
        ("de-DE", "Das ist kein Bild in einem lesbaren Format.", "Der Server sagt, auf Englisch:", "unscharf (Schärfe", "Ein Treffer", "höchste Zahl der Tage"),
        ("zh-CN", "图片格式不受支持。", "服务器（英文）：", "模糊（清晰度", "匹配", "最长天数"),
    ],
)
def test_what_the_server_says_is_told_in_the_reader_s_language(visit, server, library, photos, tmp_path, locale, format, said, light, why, setting):
    (tmp_path / "photo.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    (tmp_path / "a.jpg").write_bytes(photos.P1)
    (tmp_path / "blurred.jpg").write_bytes(people.jpeg(Image.open(io.BytesIO(photos.P1)).convert("RGB").filter(ImageFilter.GaussianBlur(7))))
    call(server, library, "POST", "/face-sets", {"name": "strict", "quality": "high"})
    one = visit(locale=locale)
    page = one.sign_in(library)
    one.visit("/detect")
    one.choose_files(tmp_path / "photo.jpg")
    alert = page.get_by_role("alert").filter(has_text=format)
    expect(alert).to_contain_text(said)
    expect(alert.locator("[lang=en]")).to_contain_text("image is HEIC")
    one.visit("/sets/strict/enrol")
    one.choose_files(tmp_path / "blurred.jpg")
    page.locator("article button:not(.icon)").last.click()
    expect(page.locator("article")).to_contain_text(light)
    assert "expected at least" not in page.locator("main").inner_text()
    one.visit("/search?set=staff")
    one.choose_files(tmp_path / "a.jpg")
    page.locator("ol.people > li").first.wait_for()
    page.locator("details summary").last.click()
    expect(page.locator("ul.remarks li").first).to_contain_text(why)
    one.visit("/settings")
    expect(page.get_by_role("listitem").filter(has=page.get_by_text("record_days", exact=True))).to_contain_text(setting)
    one.problems = [problem for problem in one.problems if "42" not in problem]


# ---- every page


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN", "de-DE"])
def test_every_page(visit, library, theme, locale):
    one = visit(theme=theme, locale=locale)
    one.sign_in(library)
    findings = []
    for name, path in PAGES.items():
        page = one.visit(path)
        assert page.evaluate("document.documentElement.lang")[:2] == locale[:2]
        one.shot(f"{name}-{locale[:2]}-{theme}")
        findings += [f"{name}: {finding}" for finding in axe_findings(page)]
    assert findings == []


def test_a_phone_scrolls_in_one_direction(visit, library):
    one = visit(size=(390, 844))
    one.sign_in(library)
    wide = []
    for name, path in PAGES.items():
        page = one.visit(path)
        one.shot(f"{name}-phone")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth + 1"):
            wide.append(name)
    assert wide == []
    page.get_by_role("button", name="Menu").click()
    expect(page.get_by_role("link", name="Face sets")).to_be_visible()
    one.shot("menu-phone")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Menu")).to_be_focused()


@pytest.mark.parametrize("width", [1920, 2200])
def test_a_wide_screen_is_used(visit, library, width):
    one = visit(size=(width, 1200))
    page = one.sign_in(library)
    for name, path in PAGES.items():
        one.visit(path)
        one.shot(f"{name}-{width}")
        main = page.locator("main").bounding_box()
        head = page.locator(".page").first.bounding_box()
        # All but the margin belongs to the page; what is read has lines of a length that can be read.
        assert main["x"] + main["width"] >= min(width, 2100), name
        assert head["width"] >= 1500, name
        wide = page.locator("p:visible").evaluate_all("(all) => all.map((p) => { const range = document.createRange(); range.selectNodeContents(p); return range.getBoundingClientRect().width; })")
        assert max(wide, default=0) <= 1180, name


def test_what_a_key_may_not_do_is_not_shown(visit, server, library, photos, tmp_path):
    key = limited_key(server, library.tenant, "search")
    one = visit()
    page = one.sign_in(key)
    shown = page.get_by_role("navigation", name="Pages").get_by_role("link").all_inner_texts()
    assert [text.strip() for text in shown] == ["Search", "Compare", "Detect", "Liveness", "Health", "API"]
    assert page.get_by_role("button", name="New face set").count() == 0
    # Where nothing may be read, one arrives at what may be done.
    expect(page.get_by_role("heading", name="Search", level=1)).to_be_visible()
    assert page.url.endswith("/console/search")
    page = one.visit("/")
    page.wait_for_url("**/console/search")
    for name in ("keys", "persons", "review", "jobs", "server-settings"):
        page = one.visit(PAGES[name])
        expect(page.get_by_text("Your key does not have the grant for this page.")).to_be_visible()
    someone = tmp_path / "someone.jpg"
    someone.write_bytes(photos.P1)
    page = one.visit("/search")
    page.get_by_placeholder("Its name").fill("staff")
    page.get_by_placeholder("Its name").press("Enter")
    one.choose_files(someone)
    expect(page.locator("ol.people > li").first).to_contain_text("barack")
    assert page.get_by_role("link", name=re.compile("Show face")).count() == 0
    assert axe_findings(page) == []
    one.shot("search-only")


def test_a_key_that_may_only_enrol_enrols(visit, server, key, photos, tmp_path):
    call(server, key, "POST", "/face-sets", {"name": "lobby"})
    one = visit()
    page = one.sign_in(limited_key(server, key.tenant, "enrol"))
    page.wait_for_url("**/console/enrol")
    assert axe_findings(page) == []
    one.shot("enrol-only")
    page.get_by_placeholder("Its name").fill("lobby")
    page.get_by_role("button", name="Enrol").click()
    page.wait_for_url("**/sets/lobby/enrol")
    files = {"anna_01.jpg": photos.P1, "nobody.jpg": photos.nobody}
    for name, image in files.items():
        (tmp_path / name).write_bytes(image)
    one.choose_files(*(tmp_path / name for name in files))
    expect(page.get_by_text("Your key may not look at pictures first")).to_be_visible()
    page.get_by_role("button", name="Enrol from 2 pictures").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.get_by_text("1 not enrolled")).to_be_visible()
    assert [face.get("subject") for face in call(server, key, "GET", "/face-sets/lobby/faces")["faces"]] == ["anna"]
    # The address of the set leads to what may be done with it.
    one.visit("/sets/lobby").wait_for_url("**/sets/lobby/enrol")
    # The browser notes that a picture was refused.
    one.problems = [problem for problem in one.problems if "422" not in problem]


def test_a_key_of_some_face_sets_is_offered_these(visit, server, library):
    call(server, library, "POST", "/face-sets", {"name": "visitors"})
    one = visit()
    page = one.sign_in(limited_key(server, library.tenant, "search", "enrol", sets=["staff", "visitors"]))
    one.visit("/search")
    page.get_by_label("Face set").select_option("visitors")
    page.wait_for_url("**/search?set=visitors")
    one.visit("/enrol")
    page.get_by_role("link", name="staff").click()
    page.wait_for_url("**/sets/staff/enrol")
    expect(page.get_by_text("Photographs to enrol")).to_be_visible()
    # Jobs of its own are shown to a key that may read, whatever the face sets.
    reader = visit()
    page = reader.sign_in(limited_key(server, library.tenant, "read", sets=["staff"]))
    reader.visit("/jobs")
    expect(page.get_by_role("heading", name="No jobs")).to_be_visible()


def test_windows_can_be_told_apart(visit, library):
    one = visit()
    page = one.sign_in(library)
    titles = []
    for path in ("/", "/sets/staff", "/sets/staff/enrol", "/sets/staff/settings", "/persons", "/persons/anna", "/search?set=staff", "/nowhere"):
        one.visit(path)
        titles.append(page.title())
    assert titles == [
        "Face sets · Likeness",
        "Our staff · Face sets · Likeness",
        "Our staff · Enrol · Face sets · Likeness",
        "Our staff · Settings · Face sets · Likeness",
        "Persons · Likeness",
        "Anna Example · Persons · Likeness",
        "Our staff · Search · Likeness",
        "There is no such page · Likeness",
    ]
    one.visit("/sets/staff")
    page.get_by_role("button", name=re.compile("barack")).click()
    expect(page).to_have_title("barack · Our staff · Face sets · Likeness")
    page.keyboard.press("Escape")
    expect(page).to_have_title("Our staff · Face sets · Likeness")


# ---- names that are made to confuse


def test_long_names_fit_everywhere(visit, server, key, photos):
    """A word of the greatest length in every place that takes one."""
    name, label, person = "s" * 255, "l" * 255, "p" * 64
    call(server, key, "POST", "/face-sets", {"name": name, "label": label, "note": "n" * 300, "fields": [{"name": "f" * 36, "type": "string"}]})
    call(server, key, "POST", "/face-sets", {"name": "x" * 255})
    call(server, key, "POST", "/persons", {"key": person, "name": "q" * 255, "note": "n" * 300, "face_sets": [name]})
    visitor.enrol(server, key, name, photos.P1, "w" * 255)
    call(server, key, "POST", "/keys", {"label": "k" * 255, "grants": ["read"], "face_sets": [name]})
    for size in ((1280, 860), (360, 780)):
        one = visit(size=size)
        page = one.sign_in(key)
        wide = []
        for place, path in PAGES.items():
            one.visit(path.replace("staff", name).replace("anna", person))
            one.shot(f"long-{place}-{size[0]}")
            if page.evaluate("document.documentElement.scrollWidth > innerWidth + 1"):
                wide.append(place)
        assert (size, wide) == (size, [])
    one.visit(f"/sets/{name}")
    page.get_by_role("button", name=re.compile("w{255}")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert dialog.evaluate("(dialog) => dialog.scrollWidth <= dialog.clientWidth + 1")
    one.shot("long-face")


def test_invisible_characters_are_shown(visit, server, key):
    call(server, key, "POST", "/face-sets", {"name": "bidi", "label": "staff\u202efdp"})
    call(server, key, "POST", "/face-sets", {"name": " lead "})
    # Names that nobody sees and keys that look like others are not taken to begin with.
    assert call(server, key, "POST", "/face-sets", {"name": " "}) == (400, "invalid_argument")
    assert call(server, key, "POST", "/persons", {"key": "zero\u200bwidth"}) == (400, "invalid_argument")
    call(server, key, "POST", "/persons", {"key": "zero", "name": "an\u200dna \U0001f468\u200d\U0001f469\u200d\U0001f467"})
    one = visit()
    page = one.sign_in(key)
    one.visit("/")
    expect(page.get_by_role("link", name="staff‹U+202E›fdp")).to_be_visible()
    one.shot("invisible")
    page.get_by_role("link", name="lead").click()
    expect(page.get_by_role("heading", name="lead", level=1)).to_be_visible()
    one.visit("/sets/bidi/settings")
    expect(page.get_by_role("heading", name="staff‹U+202E›fdp")).to_be_visible()
    expect(page).to_have_title("staff‹U+202E›fdp · Settings · Face sets · Likeness")
    # The text itself stays what it is.
    expect(page.get_by_label("Name for people")).to_have_value("staff\u202efdp")
    one.visit("/persons")
    # Joiners are named where they only hide, not where they make one picture of several.
    expect(page.get_by_text("an‹U+200D›na \U0001f468\u200d\U0001f469\u200d\U0001f467")).to_be_visible()
    one.visit("/persons/zero")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("zero")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="No persons yet")).to_be_visible()


def test_names_that_look_alike_are_told_apart(visit, server, key):
    call(server, key, "POST", "/face-sets", {"name": "\u00e9x", "label": "Staff"})
    call(server, key, "POST", "/face-sets", {"name": "a  b", "label": "Staff"})
    one = visit()
    page = one.sign_in(key)
    # A link with the name in another form of the same letters.
    one.visit("/sets/e%CC%81x/settings")
    expect(page.get_by_label("Name for people")).to_have_value("Staff")
    one.visit("/search?set=e%CC%81x")
    chosen = page.get_by_label("Face set")
    expect(chosen).to_have_value("\u00e9x")
    expect(chosen.locator("option")).to_contain_text(["Staff \u00b7 \u00e9x", "Staff \u00b7 a  b"])
    # Spaces that nobody can count need not be typed.
    one.visit("/sets/a%20%20b/settings")
    page.get_by_role("button", name="Delete the face set").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("a b")
    dialog.get_by_role("button", name="Delete the face set").click()
    expect(page.get_by_role("heading", name="Face sets")).to_be_visible()
    assert call(server, key, "GET", "/face-sets/a%20%20b") == (404, "face_set_not_found")


# ---- changing things


def test_two_windows_do_not_overwrite_each_other(visit, server, library):
    """Finding of a fresh user: the second window wiped what the first had saved."""
    call(server, library, "PATCH", "/face-sets/staff", {"note": "first"})
    a, b = visit(), visit()
    for one in (a, b):
        one.sign_in(library)
        one.visit("/sets/staff/settings")
    b.page.get_by_label("Name for people").fill("from B")
    b.page.get_by_role("button", name="Save").click()
    expect(b.page.get_by_text("The face set is changed.")).to_be_visible()
    a.page.get_by_label("Note").fill("from A")
    a.page.get_by_role("button", name="Save").click()
    alert = a.page.get_by_role("alert").filter(has_text="Somebody else has changed this meanwhile.")
    expect(alert).to_contain_text("Our staff → from B")
    a.shot("changed-meanwhile")
    assert axe_findings(a.page) == []
    # Nothing is written yet, and the other's change is in the form.
    assert call(server, library, "GET", "/face-sets/staff")["note"] == "first"
    expect(a.page.get_by_label("Name for people")).to_have_value("from B")
    a.page.get_by_role("button", name="Save").click()
    expect(a.page.get_by_text("The face set is changed.")).to_be_visible()
    expect(alert).to_have_count(0)
    saved = call(server, library, "GET", "/face-sets/staff")
    assert (saved["label"], saved["note"]) == ("from B", "from A")
    # The way back takes back one's own change only, and not that of somebody who came after.
    call(server, library, "PATCH", "/face-sets/staff", {"label": "from C"})
    a.page.get_by_role("button", name="Undo").click()
    expect(a.page.get_by_text("Somebody else has changed it meanwhile.")).to_be_visible()
    assert call(server, library, "GET", "/face-sets/staff")["label"] == "from C"
    for one in (a, b):
        one.problems = [problem for problem in one.problems if "412" not in problem]


def test_of_two_values_the_reader_chooses(visit, server, library):
    for take_theirs, expected in ((True, "theirs"), (False, "mine")):
        call(server, library, "PATCH", "/persons/anna", {"name": "Anna", "note": "before"})
        one = visit()
        page = one.sign_in(library)
        one.visit("/persons/anna")
        call(server, library, "PATCH", "/persons/anna", {"name": "theirs"})
        page.get_by_label("Name", exact=True).fill("mine")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("You both changed the same")
        expect(page.get_by_label("Name", exact=True)).to_have_value("mine")
        if take_theirs:
            page.get_by_role("button", name="Take theirs").click()
            expect(page.get_by_label("Name", exact=True)).to_have_value("theirs")
            expect(page.get_by_role("button", name="Save")).to_be_disabled()
        else:
            page.get_by_role("button", name="Save").click()
            expect(page.get_by_text("The person is changed.")).to_be_visible()
        found = call(server, library, "GET", "/persons/anna")
        assert (found["name"], found["note"]) == (expected, "before")
        one.problems = [problem for problem in one.problems if "412" not in problem]


def test_a_face_that_others_change_is_not_overwritten(visit, server, library):
    (face, *_) = call(server, library, "GET", "/face-sets/staff/faces")["faces"]
    path = f"/face-sets/staff/faces/{face['id']}"
    one = visit()
    page = one.sign_in(library)
    one.visit(f"/sets/staff?face={face['id']}")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Who it is")).to_have_value("barack")
    page.wait_for_load_state("networkidle")
    call(server, library, "PATCH", path, {"fields": {"room": 7}})
    dialog.get_by_label("Note").fill("by the door")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("nothing → 7")
    expect(dialog.get_by_label("room")).to_have_value("7")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    found = call(server, library, "GET", path)
    assert (found["subject"], found["note"], found["fields"]) == ("barack", "by the door", {"room": 7})
    one.problems = [problem for problem in one.problems if "412" not in problem]


def test_deleting_a_face_set_asks_for_its_name(visit, server, library):
    one = visit()
    page = one.sign_in(library)
    one.visit("/sets/staff/settings")
    page.get_by_role("button", name="Delete the face set").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("4 faces")
    go = dialog.get_by_role("button", name="Delete the face set")
    expect(go).to_be_disabled()
    dialog.get_by_role("textbox").fill("staf")
    expect(go).to_be_disabled()
    dialog.get_by_role("textbox").fill("staff")
    go.click()
    expect(page.get_by_role("heading", name="No face set yet")).to_be_visible()
    assert call(server, library, "GET", "/face-sets/staff") == (404, "face_set_not_found")


def test_deleting_a_face_asks_for_its_name(visit, server, library):
    """Templates have no way back."""
    one = visit()
    page = one.sign_in(library)
    one.visit("/sets/staff")
    page.get_by_role("button", name=re.compile("barack")).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    asking = page.get_by_role("dialog").filter(has_text="To have it back")
    expect(asking.get_by_role("button", name="Delete")).to_be_disabled()
    expect(asking.get_by_role("textbox")).to_be_focused()
    page.keyboard.type("barack")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The face is deleted.")).to_be_visible()
    one.visit("/persons/anna")
    page.get_by_role("checkbox", name=re.compile("^Face")).check()
    page.locator("main section").get_by_role("button", name="Delete").click()
    asking = page.get_by_role("dialog")
    expect(asking.get_by_role("button", name="Delete")).to_be_disabled()
    page.keyboard.type("anna")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No faces yet.")).to_be_visible()
    assert len(call(server, library, "GET", "/face-sets/staff/faces")["faces"]) == 2


def test_a_name_is_changed_and_changed_back(visit, server, library):
    one = visit()
    page = one.sign_in(library)
    one.visit("/sets/staff")
    page.get_by_role("button", name=re.compile("barack")).click()
    page.get_by_label("Who it is").fill("Barack Example")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name=re.compile("Barack Example"))).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name=re.compile("barack"))).to_be_visible()
    assert call(server, library, "GET", "/face-sets/staff/faces")["faces"][0]["subject"] == "barack"
    # A name that was not there is taken away again.
    one.visit("/sets/staff")
    page.get_by_role("button", name=re.compile("without a name", re.I)).click()
    page.get_by_label("Who it is").fill("somebody")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name=re.compile("somebody"))).to_be_visible()
    page.locator(".toast").get_by_role("button", name="Undo").last.click()
    expect(page.get_by_role("button", name=re.compile("somebody"))).to_have_count(0)
    assert "subject" not in call(server, library, "GET", "/face-sets/staff/faces")["faces"][1]


def test_persons_are_split_and_merged(visit, server, library):
    one = visit()
    page = one.sign_in(library)
    one.visit("/persons/anna")
    page.get_by_role("checkbox", name=re.compile("^Face")).check()
    page.get_by_role("button", name="Split off").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key").fill("berta")
    dialog.get_by_role("button", name="Split off").click()
    expect(page.get_by_text("1 face is berta now.")).to_be_visible()
    assert call(server, library, "GET", "/persons/berta")["face_sets"] == ["staff"]
    page.get_by_role("button", name="Merge").click()
    dialog.get_by_role("combobox", name="The person that goes").fill("berta")
    dialog.get_by_role("button", name="Merge").click()
    expect(page.get_by_text("berta is merged into this person.")).to_be_visible()
    assert call(server, library, "GET", "/persons/berta") == (404, "person_not_found")
    # The way back.
    page.locator(".toast", has_text="is merged").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("No faces yet.")).to_be_visible()
    assert call(server, library, "GET", "/persons/berta")["key"] == "berta"


def test_persons_have_pictures_and_are_found_while_one_types(visit, server, library):
    call(server, library, "POST", "/persons", {"key": "p-2", "name": "Berta Winter"})
    one = visit()
    page = one.sign_in(library)
    one.visit("/persons")
    people = page.locator("ul.people > li")
    expect(people).to_have_count(2)
    # A picture of her who has one in a set that keeps them, and a silhouette of the other.
    expect(people.filter(has_text="Anna Example").locator("img")).to_have_count(1)
    expect(people.filter(has_text="Berta").locator("svg")).to_have_count(1)
    assert people.first.locator("img").evaluate("(img) => img.naturalWidth") == 144
    one.shot("persons-pictures")
    page.get_by_role("searchbox", name="Find a person").press_sequentially("WINT")
    expect(people).to_have_count(1)
    expect(people).to_contain_text("Berta Winter")
    # It stands in the address, for others.
    page.wait_for_url("**/persons?find=WINT")
    page.reload()
    expect(people).to_have_count(1)
    page.get_by_role("searchbox").fill("nobody")
    expect(page.get_by_text("No person is named like “nobody”.")).to_be_visible()
    page.get_by_role("searchbox").fill("")
    expect(people).to_have_count(2)


def test_a_person_s_face_has_no_custom_values_to_fill_in(visit, server, library):
    """They had a place in the form, and saving them was refused."""
    faces = call(server, library, "GET", "/face-sets/staff/faces")["faces"]
    of_person = next(face for face in faces if "person" in face)
    own = next(face for face in faces if "person" not in face)
    one = visit()
    page = one.sign_in(library)
    for face, n_fields in ((own, 1), (of_person, 0)):
        one.visit(f"/sets/staff?face={face['id']}")
        expect(page.get_by_role("dialog").get_by_label("Note")).to_be_visible()
        expect(page.get_by_role("dialog").get_by_label("room")).to_have_count(n_fields)


def test_review_names_poor_pictures(visit, server, key, photos):
    call(server, key, "POST", "/face-sets", {"name": "staff", "quality": "none"})
    visitor.enrol(server, key, "staff", photos.P1, "large")
    picture = Image.open(io.BytesIO(photos.P2)).convert("RGB")
    (found,) = call(server, key, "POST", "/detect", image=photos.P2)["faces"]
    share = 40 / min(found["box"]["width"], found["box"]["height"])
    small = picture.resize((round(picture.width * share), round(picture.height * share)))
    visitor.enrol(server, key, "staff", people.jpeg(small), "small")
    one = visit()
    page = one.sign_in(key)
    one.visit("/review?set=staff")
    page.get_by_role("button", name="Look through it").click()
    section = page.locator("section").filter(has=page.get_by_role("heading", name="Poor pictures"))
    expect(section.locator("li")).to_have_count(1)
    expect(section).to_contain_text("small")
    assert axe_findings(page) == []


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_keys_can_be_looked_after_on_a_phone(visit, library, locale):
    """The buttons were beyond the table's edge, and nothing said so."""
    one = visit(size=(390, 844), locale=locale)
    page = one.sign_in(library)
    one.visit("/keys")
    for button in page.locator("table button").all():
        box = button.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    assert axe_findings(page) == []


def test_undoing_a_merge_gives_the_face_sets_back(visit, server, library, photos):
    """Finding of a fresh user: the person stayed a member of the other's face sets, and was found there."""
    call(server, library, "POST", "/face-sets", {"name": "lobby"})
    call(server, library, "POST", "/persons", {"key": "berta", "face_sets": ["lobby"]})
    call(server, library, "POST", "/persons/berta/faces", image=photos.P1)
    one = visit()
    page = one.sign_in(library)
    one.visit("/persons/anna")
    page.get_by_role("button", name="Merge").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="The person that goes").fill("berta")
    dialog.get_by_role("button", name="Merge").click()
    expect(page.get_by_text("berta is merged into this person.")).to_be_visible()
    assert sorted(call(server, library, "GET", "/persons/anna")["face_sets"]) == ["lobby", "staff"]
    page.locator(".toast", has_text="is merged").get_by_role("button", name="Undo").click()
    expect(page.get_by_role("checkbox", name="lobby")).not_to_be_checked()
    expect(page.get_by_role("checkbox", name=re.compile("^Face"))).to_have_count(1)
    for person, sets in (("anna", ["staff"]), ("berta", ["lobby"])):
        found = call(server, library, "GET", f"/persons/{person}")
        faces = call(server, library, "GET", f"/persons/{person}/faces")["faces"]
        assert (found["face_sets"], len(faces)) == (sets, 1)


def test_undoing_a_merge_gives_a_person_without_faces_back(visit, server, library):
    """Finding of a fresh user: there was no way back, and nobody was asked for the name."""
    call(server, library, "POST", "/face-sets", {"name": "lobby"})
    call(server, library, "POST", "/persons", {"key": "tmp", "name": "Tempo", "note": "a note", "face_sets": ["lobby"]})
    one = visit()
    page = one.sign_in(library)
    one.visit("/persons/anna")
    page.get_by_role("button", name="Merge").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").fill("Tempo")
    dialog.get_by_role("button", name="Merge").click()
    expect(page.get_by_text("Tempo is merged into this person.")).to_be_visible()
    page.locator(".toast", has_text="is merged").get_by_role("button", name="Undo").click()
    expect(page.get_by_role("checkbox", name="lobby")).not_to_be_checked()
    found = call(server, library, "GET", "/persons/tmp")
    assert (found["name"], found["note"], found["face_sets"]) == ("Tempo", "a note", ["lobby"])


def test_photographs_of_a_person_are_added_each_for_itself(visit, server, library, photos, tmp_path):
    """Finding of a fresh user: after one that was refused none was sent, and nothing said which."""
    files = {"group.jpg": harness.portrait("obama_and_biden.jpg").read_bytes(), "nobody.jpg": photos.nobody, "again.jpg": photos.P2}
    for name, image in files.items():
        (tmp_path / name).write_bytes(image)
    one = visit()
    page = one.sign_in(library)
    one.visit("/persons/anna")
    one.choose_files(*(tmp_path / name for name in files))
    alert = page.get_by_role("alert").filter(has_text="2 not enrolled")
    expect(alert).to_contain_text("group.jpg")
    expect(alert).to_contain_text("nobody.jpg")
    expect(page.get_by_role("checkbox", name=re.compile("^Face"))).to_have_count(2)
    one.problems = [problem for problem in one.problems if "422" not in problem]


def test_a_key_is_made_and_its_secret_shown_once(visit, server, library):
    one = visit()
    page = one.sign_in(library)
    one.visit("/keys")
    page.get_by_role("button", name="New key").click()
    page.get_by_label("For whom or what").fill("front desk")
    page.get_by_role("button", name="Make it").click()
    whole = page.get_by_label("ID.SECRET").input_value()
    made = harness.Key(access_key_id=whole.split(".")[0], access_key_secret=whole.split(".", 1)[1])
    assert len(call(server, made, "GET", "/face-sets")["face_sets"]) == 1
    assert call(server, made, "POST", "/face-sets", {"name": "x"}) == (403, "forbidden")
    # What is shown once does not go with a key that is pressed by habit.
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.get_by_label("ID.SECRET")).to_be_visible()
    page.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_role("row", name=re.compile("front desk"))).to_be_visible()
    # The key one is signed in with is not switched off by one click, which nothing here could undo.
    page.get_by_role("row", name=re.compile("signed in with")).get_by_role("button", name="Disable").click()
    asking = page.get_by_role("dialog")
    expect(asking).to_contain_text("the key that you are signed in with")
    expect(asking.get_by_role("button", name="Disable")).to_be_disabled()
    page.keyboard.press("Escape")
    assert call(server, library, "GET", "/face-sets")["face_sets"]
    assert made.secret not in page.content()


def test_review_names_faces_that_have_none(visit, server, library):
    one = visit()
    page = one.sign_in(library)
    one.visit("/review?set=staff")
    page.get_by_role("button", name="Look through it").click()
    expect(page.get_by_text("looks like barack")).to_be_visible()
    one.shot("review-found")
    page.get_by_role("button", name="Name", exact=True).click()
    expect(page.get_by_text("The face is named barack.")).to_be_visible()
    subjects = [face.get("subject") for face in call(server, library, "GET", "/face-sets/staff/faces")["faces"]]
    assert subjects.count("barack") == 2
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("looks like barack")).to_be_visible()
    subjects = [face.get("subject") for face in call(server, library, "GET", "/face-sets/staff/faces")["faces"]]
    assert subjects.count("barack") == 1 and None in subjects


def test_a_person_is_found_to_be_merged_by_name(visit, server, library):
    """Whoever merges knows names; keys had to be typed."""
    for key, name in (("p-17", "Berta Winter"), ("p-18", "Bernd Sommer"), ("p-19", "Bert")):
        call(server, library, "POST", "/persons", {"key": key, "name": name})
    one = visit()
    page = one.sign_in(library)
    one.visit("/persons/anna")
    page.get_by_role("button", name="Merge").click()
    dialog = page.get_by_role("dialog")
    box = dialog.get_by_role("combobox", name="The person that goes")
    expect(box).to_be_focused()
    box.press_sequentially("ber")
    expect(dialog.get_by_role("option")).to_have_count(3)
    go = dialog.get_by_role("button", name="Merge")
    # A part of a name chooses nobody, not even the person whose whole name it begins.
    expect(go).to_be_disabled()
    box.press_sequentially("t")
    expect(dialog.get_by_role("option")).to_have_count(2)
    expect(dialog.get_by_role("option", name="Bert p-19")).to_have_attribute("aria-selected", "true")
    # By keyboard, another one.
    places = [text.split("\n")[0] for text in dialog.get_by_role("option").all_inner_texts()]
    for _ in range(places.index("Berta Winter") + 1):
        box.press("ArrowDown")
    # Enter chooses, and what that means is read before it is done, however often it is pressed.
    box.press("Enter")
    box.press("Enter")
    expect(dialog.get_by_role("option", name="Berta Winter")).to_have_attribute("aria-selected", "true")
    expect(dialog).to_contain_text("Berta Winter goes")
    assert axe_findings(page) == []
    one.shot("merge")
    box.fill("summer")
    expect(dialog.get_by_text("No person is named like “summer”.")).to_be_visible()
    expect(go).to_be_disabled()
    box.fill("p-17")
    go.click()
    expect(page.get_by_text("Berta Winter is merged into this person.")).to_be_visible()
    assert call(server, library, "GET", "/persons/p-17") == (404, "person_not_found")


def test_two_names_of_one_person_become_one(visit, server, key, photos):
    """One face of the pair was renamed, and the others kept the name."""
    call(server, key, "POST", "/face-sets", {"name": "staff"})
    for image, subject in ((photos.P1, "barack"), (photos.P1b, 'the "boss"'), (photos.P1b, 'the "boss"'), (photos.P2, "joe")):
        visitor.enrol(server, key, "staff", image, subject)
    subjects = lambda: [face.get("subject") for face in call(server, key, "GET", "/face-sets/staff/faces")["faces"]]
    one = visit()
    page = one.sign_in(key)
    one.visit("/review?set=staff")
    page.get_by_role("button", name="Look through it").click()
    page.get_by_role("button", name="Both are barack").click()
    expect(page.get_by_text("2 faces are named barack.")).to_be_visible()
    assert subjects() == ["barack", "barack", "barack", "joe"]
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Both are barack")).to_be_visible()
    assert subjects() == ["barack", 'the "boss"', 'the "boss"', "joe"]


def test_two_persons_who_look_alike_are_merged(visit, server, library, photos):
    call(server, library, "POST", "/persons", {"key": "berta", "name": "Berta Winter", "face_sets": ["staff"]})
    call(server, library, "POST", "/persons/berta/faces", image=photos.P2)
    one = visit()
    page = one.sign_in(library)
    one.visit("/review?set=staff")
    page.get_by_role("button", name="Look through it").click()
    page.get_by_role("link", name="Merge the two persons").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("option", selected=True)).to_have_count(1)
    dialog.get_by_role("button", name="Merge").click()
    expect(page.get_by_text("is merged into this person.")).to_be_visible()
    assert len(call(server, library, "GET", "/persons")["persons"]) == 1


# ---- the camera, which is Chromium's own of a circle that turns


def test_a_camera_s_picture_is_looked_for_and_judged(visit, library):
    one = visit()
    page = one.sign_in(library)
    for path in ("/search?set=staff", "/liveness", "/detect"):
        one.visit(path)
        page.get_by_role("button", name="Camera").click()
        dialog = page.get_by_role("dialog")
        video = dialog.locator("video")
        expect(video).to_be_visible()
        video.evaluate("(video) => video.videoWidth || new Promise((done) => video.addEventListener('loadeddata', done))")
        dialog.get_by_role("button", name="Take the picture").click()
        expect(page.get_by_role("img", name="Camera picture.jpg")).to_be_visible()
        # Nobody is before it.
        expect(page.get_by_text(re.compile("No face was found in (this|the) picture.|0 faces"))).to_be_visible()
    one.problems = [problem for problem in one.problems if "422" not in problem]


def test_a_clip_is_recorded_with_the_movements_that_are_asked_for(visit, library):
    one = visit()
    page = one.sign_in(library)
    one.visit("/liveness")
    page.get_by_role("radio", name="One picture").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="A clip with movements")).to_be_checked()
    page.get_by_role("button", name="Without turn left").click()
    page.get_by_role("button", name="Record a clip").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("video").evaluate("(video) => video.videoWidth || new Promise((done) => video.addEventListener('loadeddata', done))")
    dialog.get_by_role("button", name="Start").click()
    for told in ("Look straight into the camera", "nod"):
        expect(dialog.get_by_text(told, exact=True)).to_be_visible()
    expect(dialog).to_be_hidden()
    expect(page.locator("video")).to_be_visible()
    expect(page.get_by_text(re.compile("Does not seem alive|No face was found"))).to_be_visible()
    assert axe_findings(page) == []
    one.shot("clip")
    one.problems = [problem for problem in one.problems if "422" not in problem]


# ---- the server


def test_settings_are_shown_with_their_origin(browser, server, tmp_path):
    settings = tmp_path / "likeness.toml"
    settings.write_text('queue_max = 32\n[log]\nformat = "json"\n')
    with harness.Server(tmp_path / "data", env={"LIKENESS_CONFIG": str(settings), "LIKENESS_WEIGHTS": "acme=3"}) as own:
        key = harness.Key(**json.loads(harness.run("key", "create", "--data", own.data, "--tenant", "acme", "--json").stdout))
        with visitor.visiting(browser, own.url) as one:
            page = one.sign_in(key)
            one.visit("/settings")
            row = page.get_by_role("listitem").filter(has=page.get_by_text("queue_max", exact=True))
            expect(row).to_contain_text("32")
            expect(row.get_by_text("file", exact=True)).to_be_visible()
            expect(row).to_contain_text(str(settings))
            # What names tenants is for the owner alone.
            row = page.get_by_role("listitem").filter(has=page.get_by_text("weights", exact=True))
            expect(row).to_contain_text("set, but hidden")
            expect(row).to_contain_text("LIKENESS_WEIGHTS")
            assert "acme=3" not in page.content()
            page.get_by_label("Only what somebody has set").check()
            expect(page.get_by_text("scrub_interval_days", exact=True)).to_have_count(0)
            page.get_by_label("Find a setting").fill("log.")
            expect(page.get_by_text("log.format", exact=True)).to_be_visible()
            expect(page.get_by_text("queue_max", exact=True)).to_have_count(0)
            one.shot("settings-found")
            assert one.problems == []
        link = json.loads(harness.run("console", "--data", own.data, "--tenant", "acme", "--json").stdout)["url"]
        with visitor.visiting(browser, own.url) as owner:
            owner.page.goto(link)
            expect(owner.page.locator("aside")).to_contain_text("Owner of the data folder")
            owner.visit("/settings")
            expect(owner.page.get_by_text("acme=3")).to_be_visible()


def test_figures_are_drawn(visit, server, library):
    one = visit()
    page = one.sign_in(library)
    one.visit("/health")
    # Of many operations those asked for most are shown first.
    rows = page.locator("main tbody tr")
    expect(rows.first).to_be_visible()
    every = page.get_by_role("button", name=re.compile("^All [0-9]"))
    if every.count():
        every.click()
    expect(rows.filter(has_text="POST /likeness/v1/session").first).to_be_visible()
    chart = page.get_by_role("img", name=re.compile("^Requests: answered [0-9]"))
    expect(chart).to_be_visible()
    assert chart.locator("polyline").count() > 0
    one.shot("figures")
    assert axe_findings(page) == []
    # They are of all tenants together, so a key that does not manage does not see them.
    reader = visit()
    page = reader.sign_in(limited_key(server, library.tenant, "read"))
    reader.visit("/health")
    expect(page.get_by_role("heading", name="What runs the models")).to_be_visible()
    expect(page.get_by_role("heading", name="Figures")).to_have_count(0)


def test_a_comparison_shows_what_the_recogniser_saw(visit, library, photos, tmp_path):
    for name, image in (("a.jpg", photos.P1), ("b.jpg", photos.P1b)):
        (tmp_path / name).write_bytes(image)
    one = visit()
    page = one.sign_in(library)
    one.visit("/compare")
    one.choose_files(tmp_path / "a.jpg", nth=0)
    one.choose_files(tmp_path / "b.jpg", nth=1)
    expect(page.get_by_text("The same person")).to_be_visible()
    why = page.locator("section").filter(has=page.get_by_role("heading", name="Why?"))
    for title in ("First photograph", "Second photograph"):
        crop = why.get_by_role("img", name=title)
        expect(crop).to_be_visible()
        assert crop.evaluate("(image) => image.naturalWidth === image.naturalHeight && image.naturalWidth >= 100")
    expect(why.get_by_role("listitem").first).to_contain_text("match")
    one.shot("compare-why")
    one.visit("/search?set=staff")
    one.choose_files(tmp_path / "a.jpg")
    page.get_by_text("Why?").click()
    expect(page.get_by_role("img", name="Looking for")).to_be_visible()
    expect(page.locator("details").get_by_role("listitem").first).to_contain_text("match")
    one.shot("search-why")


def test_trying_out_an_operation_that_erases_asks(visit, server, library):
    one = visit()
    page = one.sign_in(library)
    one.visit("/api?op=delete_face_set")
    page.get_by_label("name", exact=False).first.fill("staff")
    page.get_by_role("button", name="Try it").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("DELETE /face-sets/staff")
    expect(dialog.get_by_role("button", name="Try it")).to_be_disabled()
    assert len(call(server, library, "GET", "/face-sets/staff/faces")["faces"]) == 4
    dialog.get_by_role("textbox").fill("staff")
    dialog.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("200")).to_be_visible()
    assert call(server, library, "GET", "/face-sets/staff") == (404, "face_set_not_found")


def test_the_api_page_shows_what_the_key_may_do(visit, server, library):
    one = visit()
    page = one.sign_in(limited_key(server, library.tenant, "search"))
    one.visit("/api")
    expect(page.get_by_role("button", name=re.compile("POST .compare "))).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("DELETE .face-sets."))).to_have_count(0)
    page.get_by_label("Also the").check()
    page.get_by_role("button", name=re.compile("DELETE .face-sets..name. ")).click()
    expect(page.get_by_text("It lacks: delete, manage")).to_be_visible()
    expect(page.get_by_role("button", name="Try it")).to_be_disabled()


def test_a_person_is_found_while_one_types(visit, server, key):
    for idx in range(250):
        call(server, key, "POST", "/persons", {"key": f"p{idx:03}", "name": f"Person {idx}"})
    one = visit()
    page = one.sign_in(key)
    one.visit("/persons")
    # Beyond the first page of the list.
    page.get_by_label("Find a person").fill("person 249")
    expect(page.get_by_role("link", name=re.compile("Person 249"))).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("Person 12"))).to_have_count(0)
    page.get_by_label("Find a person").fill("nobody")
    expect(page.get_by_text("No person is named like “nobody”.")).to_be_visible()


# ---- faces of a set


def test_pictures_are_kept_when_asked_for_and_erased_when_not(visit, server, key, photos):
    call(server, key, "POST", "/face-sets", {"name": "staff"})
    visitor.enrol(server, key, "staff", photos.P1, "before")
    one = visit()
    page = one.sign_in(key)
    one.visit("/sets/staff/settings")
    page.get_by_label("Keep a small picture of each face").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("The face set is changed.").wait_for()
    visitor.enrol(server, key, "staff", photos.P2, "after")
    one.visit("/sets/staff")
    expect(page.get_by_role("button", name="after").locator("img")).to_be_visible()
    assert page.get_by_role("button", name="after").locator("img").evaluate("(img) => img.decode().then(() => img.naturalWidth)") == 144
    expect(page.get_by_role("button", name="before").locator("svg")).to_be_visible()
    one.shot("faces-with-pictures")

    one.visit("/sets/staff/settings")
    page.get_by_label("Keep a small picture of each face").uncheck()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert call(server, key, "GET", "/face-sets/staff")["thumbnails"]
    page.get_by_role("button", name="Save").click()
    one.shot("pictures-erased")
    erase = page.get_by_role("dialog").get_by_role("button", name="Erase the pictures")
    expect(erase).to_be_disabled()
    page.get_by_role("dialog").get_by_role("textbox").fill("staff")
    erase.click()
    page.get_by_text("The face set is changed.").last.wait_for()
    assert not call(server, key, "GET", "/face-sets/staff")["thumbnails"]
    one.visit("/sets/staff")
    expect(page.get_by_role("button", name="after").locator("svg")).to_be_visible()


def test_faces_are_found_while_one_types(visit, server, key, photos):
    call(server, key, "POST", "/face-sets", {"name": "staff", "fields": [{"name": "room", "type": "integer"}]})
    for number, name in enumerate(["anna", "Andrea", "bert"]):
        enrolled = call(server, key, "POST", f"/face-sets/staff/faces?subject={name}&external_id=photo-{number}", image=photos.P1)
        call(server, key, "PATCH", f"/face-sets/staff/faces/{enrolled['faces'][0]['id']}", {"fields": {"room": number}})
    one = visit()
    page = one.sign_in(key)
    one.visit("/sets/staff")
    box = page.get_by_label("Find faces")
    box.fill("an")
    expect(page.locator("[role=listitem]")).to_have_count(2)
    expect(page.get_by_text("Andrea")).to_be_visible()
    one.shot("faces-found")
    box.fill("photo-2")
    expect(page.locator("[role=listitem]")).to_have_count(1)
    expect(page.get_by_text("bert")).to_be_visible()
    box.fill("room:[1 TO 2]")
    expect(page.locator("[role=listitem]")).to_have_count(2)
    assert "find=" in page.url
    page.reload()
    expect(page.locator("[role=listitem]")).to_have_count(2)
    box.fill("nobody")
    expect(page.get_by_text("No face is found by “nobody”.")).to_be_visible()
    box.fill("")
    expect(page.locator("[role=listitem]")).to_have_count(3)


# ---- how it is served


def test_a_million_faces_scroll(visit, server, key):
    """Synthetic: the answers are made up in the browser, so that the list alone is tried."""
    total, call_log = 1_000_000, []
    call(server, key, "POST", "/face-sets", {"name": "many"})
    one = visit()
    page = one.sign_in(key)
    face_set = call(server, key, "GET", "/face-sets/many")
    box = {"left": 1, "top": 1, "width": 50, "height": 50}
    times = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}

    def faces(route):
        query = dict(re.findall(r"(\w+)=(\d+)", route.request.url))
        offset, limit = int(query["offset"]), int(query["limit"])
        call_log.append(offset)
        some = [{"id": str(idx), "subject": f"person {idx}", "box": box, "score": 0.9, **times} for idx in range(offset, min(total, offset + limit))]
        route.fulfill(json={"faces": some})

    one.context.route(re.compile(r"/face-sets/many/faces\?"), faces)
    one.context.route(re.compile(r"/face-sets/many$"), lambda route: route.fulfill(json={**face_set, "n_faces": total}))
    one.visit("/sets/many")
    expect(page.get_by_text("person 0", exact=True)).to_be_visible()
    page.get_by_role("list", name=re.compile("faces")).focus()
    page.keyboard.press("End")
    expect(page.get_by_text("person 999999", exact=True)).to_be_visible()
    page.get_by_role("list", name=re.compile("faces")).evaluate("(list) => list.scrollTop = list.scrollHeight / 2")
    expect(page.get_by_text(re.compile(r"^person 500\d\d\d$")).first).to_be_visible()
    assert page.locator("[role=listitem]").count() < 200
    assert len(call_log) < 12


def answered(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers, answer.read()


def test_the_whole_console_is_small(server):
    _, page = answered(f"{server.url}/console/")
    names, seen, n_bytes = set(re.findall(rb"assets/[\w.-]+", page)), set(), len(page)
    while names - seen:
        name = (names - seen).pop()
        seen.add(name)
        url = f"{server.url}/console/{name.decode()}"
        headers, packed = answered(url, **{"Accept-Encoding": "br"})
        assert headers["Content-Encoding"] == "br" and "immutable" in headers["Cache-Control"]
        n_bytes += len(packed)
        _, plain = answered(url)
        names |= {b"assets/" + found for found in re.findall(rb"[./]+/?([\w.]+-[\w-]{8}\.(?:js|css))", plain)}
        names |= set(re.findall(rb"assets/[\w.-]+\.(?:js|css)", plain))
    assert len(seen) > 20, "every page is a file of its own"
    assert n_bytes <= BUNDLE_BYTES_MAX


def test_the_first_paint_is_quick(visit):
    one = visit()
    page = one.open()
    page.get_by_role("heading", name="Sign in").wait_for()
    # An observer rather than a condition that is asked again and again: the console's policy forbids to evaluate texts.
    painted = """() => new Promise((done) => {
        new PerformanceObserver((list) => {
            const found = list.getEntriesByName("first-contentful-paint")[0];
            if (found) done(found.startTime);
        }).observe({ type: "paint", buffered: true });
    })"""
    times = []
    # The best of a few: other tests share the machine.
    for _ in range(3):
        page.reload()
        times.append(page.evaluate(painted))
    print("first contentful paint, ms:", [round(time) for time in times])
    assert min(times) <= FIRST_PAINT_MS_MAX


def test_it_can_be_switched_off(server, tmp_path):
    with harness.Server(tmp_path / "data", env={"LIKENESS_CONSOLE": "false"}) as without:
        with pytest.raises(urllib.error.HTTPError) as refused:
            answered(f"{without.url}/console/")
        assert refused.value.code == 404
        done = harness.run("console", "--data", without.data, check=False)
        assert done.returncode == 2 and "has no console" in done.stderr


def test_languages_have_the_same_messages():
    folder = harness.ROOT / "console" / "src" / "messages"
    texts = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("en", "de", "zh")}
    sources = "".join(path.read_text() for path in (harness.ROOT / "console" / "src").rglob("*") if path.suffix in (".svelte", ".ts"))
    for name, messages in texts.items():
        assert messages.keys() == texts["en"].keys(), name
        for key, text in messages.items():
            assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", texts["en"][key])), f"{name} {key}"
    # Keys that are put together at run time begin with one of these.
    made_up = (
        *("error.", "quality.", "grant.", "expression.", "action.", "remark.", "finding.", "failure.", "jobs.state.", "live."),
        *("settings.origin.", "health.state.", "health.part.", "health.engine.", "aspect.", "jobs.kind."),
    )
    unused = [key for key in texts["en"] if not key.startswith(made_up) and f'"{key.removesuffix(".one")}"' not in sources]
    assert unused == []


def test_settings_are_told_in_each_language(server, key):
    """What each is for is checked beside the sources, what it accepts here: the program puts that together."""
    folder = harness.ROOT / "console" / "src" / "messages" / "settings"
    settings = call(server, key, "GET", "/settings")["settings"]
    accepted = {one["accepted"] for one in settings if not re.fullmatch(r"\d+ to \d+", one["accepted"])}
    names = {one["name"] for one in settings}
    for language in ("de", "zh"):
        words = json.loads((folder / f"{language}.json").read_text())
        assert words["accepted"].keys() == accepted, language
        assert words["about"].keys() == names, language
