"""What schemathesis loads beside its own checks: the one that whatever the document allows is accepted, with what no document can
say named one by one."""

import re

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

# Refused with 400 although each value by itself is as described: operation, `field` and `code` of the refusal, and why OpenAPI
# cannot say it. Anything else that is refused with 400 is a fault of the document.
INHERENT = [
    (r"GET .*", r"cursor", "invalid_argument", "a cursor is signed: none is accepted but those of earlier answers"),
    (r"GET /changes", r"cursor|since", "invalid_argument", "parameters cannot exclude each other"),
    (r"GET /face-sets/\{name\}/faces", r"cursor|offset|filter", "invalid_argument", "parameters cannot exclude each other"),
    (r".*", r"filter", "invalid_argument", "the filter's language is no regular one"),
    (r".*", r"filter|field|sort|fields?\..*", "unknown_field", "which custom fields there are is the face set's"),
    (r".*", r"sort", "field_not_numeric", "which custom fields there are is the face set's"),
    (r".*", r"(photos\[\d+\]\.)?fields?\..*", "field_not_defined|field_type_mismatch", "which custom fields there are is the face set's"),
    (r".*", r"far|false_matches", "invalid_argument", "which rates were measured is the model pack's and depends on the faces of the set"),
    (r"POST /face-sets/\{name\}/search-picture", r"top|faces_max", "invalid_argument", "their product is bounded"),
    (r"POST /face-sets/\{name\}/search(-picture)?", r"similarity_min|far|false_matches|image|face_id|person|template",
     "invalid_argument|missing_argument", "in a form with a file: which of them exclude each other is said in words"),
    (r"POST /liveness", r"windows|actions", "invalid_argument|missing_argument", "as many windows as actions"),
    (r"POST /face-sets/\{name\}/archive/export-later", r"include", "invalid_argument", "whether a set keeps thumbnails is the set's"),
    (r"GET /face-sets/\{name\}/archive", r"include", "invalid_argument", "whether a set keeps thumbnails is the set's"),
    (r"POST /face-sets/\{name\}/archive/import-later", r"archive|pack", "invalid_argument", "an archive is no JSON"),
    (r"POST /face-sets/\{name\}/archive", r"template|pack|thumbnail|detection", "invalid_argument", "numbers within base64, of the set's pack; points of 32 bits"),
    (r"POST /persons/\{key\}/(merge|move)", r"from|to", "invalid_argument", "a person with itself"),
    (r"POST /persons/\{key\}/face-sets", r"join|leave", "invalid_argument", "a set to join and to leave at once"),
    (r"PATCH .*", r"if-match", "invalid_argument", "an empty header, which the document's pattern forbids, is written for it"),
    (r"DELETE /tenants/\{name\}", r"confirm", "invalid_argument", "it repeats a part of the path"),
]


def is_inherent(case, response):
    try:
        error = response.json()["error"]
    except ValueError:
        return False
    operation = f"{case.method} {case.path}"
    return any(
        re.fullmatch(of, operation) and re.fullmatch(field, error.get("field", "")) and re.fullmatch(code, error["code"])
        for of, field, code, _ in INHERENT
    )


@schemathesis.check
def what_is_described_is_accepted(ctx, response, case):
    if response.status_code == 400 and is_inherent(case, response):
        return None
    return positive_data_acceptance(ctx, response, case)
