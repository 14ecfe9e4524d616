"""What was acknowledged through this API survives SIGKILL: added faces are listed, deleted ones are not.

The long run over many rounds is in the durability suite; this one shows that nothing on this API's way loses a write.
"""

import os
import threading

import facesearch
import harness
import requests

ROUNDS = int(os.environ.get("LIKENESS_YUANLI_KILL_ROUNDS", "5"))
CLIENTS = 2
ACKNOWLEDGEMENTS = 8  # of a round, before the process is killed


def work(api, photo, ledger, lock, enough):
    """Adds faces and deletes every third of its own, until the server dies."""
    n_added = 0
    try:
        while True:
            added = api("add", file=photo, group_id="lib_a", user_id=threading.current_thread().name)["face_token"]
            n_added += 1
            with lock:
                ledger["alive"].add(added)
            enough.release()
            if n_added % 3 == 0:
                with lock:
                    ledger["alive"].discard(added)
                    ledger["deleting"].add(added)
                assert api("delete", group_id="lib_a", face_tokens=added)["face_removed"] == 1
                with lock:
                    ledger["deleting"].discard(added)
                    ledger["gone"].add(added)
                enough.release()
    except requests.ConnectionError:
        pass


def test_acknowledged_faces_survive_kills(tmp_path, photos):
    ledger, lock = {"alive": set(), "deleting": set(), "gone": set()}, threading.Lock()
    with harness.Server(tmp_path / "data") as running:
        key = harness.create_key(running.data, "killed")
        facesearch.Client(running.url, key.id, key.secret)("create", group_id="lib_a", group_name="Alpha")["group_id"]
        for _ in range(ROUNDS):
            api, enough = facesearch.Client(running.url, key.id, key.secret), threading.Semaphore(0)
            arguments = (api, photos.P1, ledger, lock, enough)
            clients = [threading.Thread(target=work, args=arguments, name=f"c{idx}") for idx in range(CLIENTS)]
            for client in clients:
                client.start()
            for _ in range(ACKNOWLEDGEMENTS):
                assert enough.acquire(timeout=120), "the server acknowledges"
            running.kill()
            for client in clients:
                client.join(timeout=60)
            running.start()
            api = facesearch.Client(running.url, key.id, key.secret)
            faces = api("list", group_id="lib_a", limit=1000)["face_tokens"]
            listed = {face["face_token"] for face in faces}
            assert len(listed) == len(faces)
            assert ledger["alive"] <= listed, "what was acknowledged is there"
            assert not ledger["gone"] & listed, "what was deleted is gone"
            # A call without an answer may have happened or not; what is there now stays.
            ledger["alive"] |= listed
            ledger["gone"] |= ledger["deleting"] - listed
            ledger["deleting"] = set()
            assert api("search", group_id="lib_a", file=photos.P1, limit=100)["results"]
            assert api("group_info", group_id="lib_a")["info"]["face_count"] == len(listed)
