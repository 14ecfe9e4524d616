"""SDK-HMAC-SHA256 written from the specification, apart from the SDK's code and from the server's."""

import datetime
import hashlib
import hmac
import urllib.parse

UNRESERVED = "-_.~"


def canonical_request(method, path, query, headers, signed, payload):
    decoded = urllib.parse.unquote(path)
    uri = "/".join(urllib.parse.quote(segment, safe=UNRESERVED) for segment in decoded.split("/"))
    if not uri.endswith("/"):
        uri += "/"
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    canonical_query = "&".join(
        f"{urllib.parse.quote(key, safe=UNRESERVED)}={urllib.parse.quote(value, safe=UNRESERVED)}" for key, value in pairs
    )
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    block = "".join(f"{name}:{lower[name]}\n" for name in signed)
    return "\n".join([method, uri, canonical_query, block, ";".join(signed), payload])


def sign(key_id, secret, method, url, body=b"", headers=None, at=None, unsigned_payload=False):
    """The headers of a signed request; `at` is a datetime in UTC."""
    parts = urllib.parse.urlsplit(url)
    at = at or datetime.datetime.now(datetime.timezone.utc)
    headers = dict(headers or {})
    headers["Host"] = parts.netloc
    headers["X-Sdk-Date"] = at.strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(body).hexdigest()
    if unsigned_payload:
        headers["X-Sdk-Content-Sha256"] = payload = "UNSIGNED-PAYLOAD"
    signed = sorted(name.lower() for name in headers)
    request = canonical_request(method, parts.path, parts.query, headers, signed, payload)
    to_sign = "\n".join(["SDK-HMAC-SHA256", headers["X-Sdk-Date"], hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = f"SDK-HMAC-SHA256 Access={key_id}, SignedHeaders={';'.join(signed)}, Signature={signature}"
    return headers
