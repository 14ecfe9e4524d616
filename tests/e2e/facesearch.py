"""A small FaceSearch client, written from the specification alone: apart from the server's code and its tests."""

import base64
import hashlib
import hmac
import random
import re
import time

import requests

BASE = "/finauth/search/group/"
REQUEST_ID = re.compile(r"\d{10},[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DIGESTS = {"hmac_sha1": hashlib.sha1, "hmac_sha256": hashlib.sha256}


def sign(key, secret, end=None, made=None, salt=None, version="hmac_sha1"):
    """`end` and `made` are Unix seconds, `end` 0 for a sign that is good once."""
    made = int(time.time()) if made is None else made
    end = made + 100 if end is None else end
    salt = f"{random.randrange(10**10):010d}" if salt is None else salt
    raw = f"a={key}&b={end}&c={made}&d={salt}".encode()
    mac = hmac.new(secret.encode(), raw, DIGESTS[version]).digest()
    return base64.b64encode(mac + raw).decode()


class Answer:
    """An answer in JSON, checked for what every one must have."""

    error_member = "error"

    def __init__(self, response):
        assert response.headers["Content-Type"].lower().startswith("application/json"), response.text
        self.status, self.json = response.status_code, response.json()
        assert REQUEST_ID.fullmatch(self.json["request_id"]), self.json
        assert abs(int(self.json["request_id"].split(",")[0]) - time.time()) <= 60
        assert isinstance(self.json["time_used"], int) and self.json["time_used"] >= 0
        assert (self.error_member in self.json) == (self.status != 200), self.json

    def __getitem__(self, member):
        assert self.status == 200, self.json
        return self.json[member]

    def __contains__(self, member):
        return member in self.json

    @property
    def error(self):
        return self.status, self.json.get(self.error_member)


class Client:
    def __init__(self, url, key, secret):
        self.url, self.key, self.secret = url, key, secret

    def post(self, name, fields, file=None, as_form=True, **options):
        """Fields as they are. A form unless `as_form` is false; then urlencoded."""
        files = {name: (None, str(value)) for name, value in fields.items()}
        if file is not None:
            files["file"] = ("photo.jpg", file, "image/jpeg")
        body = {"files": files or {"": (None, "")}} if as_form else {"data": fields}
        return requests.post(self.url + BASE + name, timeout=60, **body, **options)

    def __call__(self, name, file=None, as_form=True, **fields):
        """A signed call; `sign` and `sign_version` may be overruled."""
        signed = {"sign": sign(self.key, self.secret), "sign_version": "hmac_sha1", **fields}
        return Answer(self.post(name, signed, file, as_form))
