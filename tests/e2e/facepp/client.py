"""A small Face++ client, written from the specification alone: apart from the server's code and its tests."""

import re

import facesearch
import requests

TOKEN = re.compile(r"[0-9a-f]{32}")


class Answer(facesearch.Answer):
    """Like one of the service that descends from this, but for the member of an error."""

    error_member = "error_message"

    def __init__(self, response):
        super().__init__(response)
        assert "error" not in self.json


class Client:
    def __init__(self, url, key, secret):
        self.url, self.keys = url + "/facepp/v3/", {"api_key": key, "api_secret": secret}

    def __call__(self, name, files=None, **fields):
        """A call as a form; values of `files` are bytes."""
        parts = {name: (None, str(value)) for name, value in {**self.keys, **fields}.items()}
        parts |= {name: ("photo.jpg", data, "image/jpeg") for name, data in (files or {}).items()}
        return Answer(requests.post(self.url + name, files=parts, timeout=60))

    def in_query(self, name, **fields):
        """Everything in the query of a POST without a body."""
        return Answer(requests.post(self.url + name, params={**self.keys, **fields}, timeout=60))

    def urlencoded(self, name, **fields):
        return Answer(requests.post(self.url + name, data={**self.keys, **fields}, timeout=60))

    def detect(self, photo, **fields):
        return self("detect", files={"image_file": photo}, **fields)

    def token(self, photo):
        """The token of the largest face."""
        token = self.detect(photo)["faces"][0]["face_token"]
        assert TOKEN.fullmatch(token)
        return token

    def add(self, outer_id, photo):
        token = self.token(photo)
        assert self("faceset/addface", outer_id=outer_id, face_tokens=token)["face_added"] == 1
        return token

    def tokens(self, outer_id):
        return self("faceset/getdetail", outer_id=outer_id)["face_tokens"]
