//! The description of the native API, OpenAPI 3.1: made of the table of operations, so that it has every operation and no other.
//!
//! What stands here is what the table does not know: which types an operation takes and gives, the options of its query, and an
//! example of a request. `schemas.json` has the types of [`dto`](super::dto) in JSON Schema; tests compare the members of
//! each request with what the program reads, and every answer with its schema, down to members that are not described.
//! `examples.json` has the answers to the examples, as a server gave them; a test asks for them again, and another compares
//! the whole document with `docs/openapi.json`.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::PREFIX;
use super::convert::OFFSET_MAX;
use super::idempotency;
use super::session::COOKIE;
use super::table::{Operation, operations};
use crate::http::json as json_text;

/// Answers to the examples of requests, by the operation's name.
const EXAMPLES: &str = include_str!("openapi/examples.json");

/// The types of requests and answers by their names.
const SCHEMAS: &str = include_str!("openapi/schemas.json");

/// An option of a query.
type Option_ = (&'static str, &'static str, &'static str);

const LIMIT: Option_ = ("limit", "integer", "most entries of the answer");
const CURSOR: Option_ = ("cursor", "string", "`next_cursor` of an earlier answer to the same request");
const LISTING: &[Option_] = &[LIMIT, CURSOR];

/// What an operation takes besides its path.
enum Takes {
    Nothing,
    /// JSON of a type.
    Json(&'static str),
    /// JSON of a type that may be left out.
    MaybeJson(&'static str),
    /// JSON of a type, a form, or a raw image with the options in the query.
    Posted(&'static str),
    /// An archive as it is.
    Archive,
}

/// Stands for an archive among the types of answers.
const ARCHIVE: &str = "archive";

/// Stands for a picture among the types of answers.
const PICTURE_FILE: &str = "picture";

/// The heads by which a stretch of an archive is asked for.
const RANGE_HEADERS: [(&str, &str); 2] = [
    ("Range", "one stretch, as in `bytes=1000-`; a fetch that broke off goes on behind the bytes that arrived"),
    ("If-Range", "the `ETag` of the answer that broke off; where it is another one the whole is sent"),
];

/// An archive that can be sent as it is: a header and no face.
const SMALL_ARCHIVE: &str =
    "{\"format\": \"likeness-archive\", \"version\": 1, \"pack\": \"default-2\", \"dimensions\": 128}\n";

/// What the table of operations does not know of one.
struct Details {
    query: &'static [Option_],
    takes: Takes,
    status: u16,
    gives: &'static str,
    /// Values of the path's arguments and a body.
    example: (&'static [(&'static str, &'static str)], Value),
}

/// The schema of a type; an empty name is an object without members.
fn schema(name: &str) -> Value {
    match name {
        "" => json!({"type": "object", "properties": {}}),
        name => json!({"$ref": format!("#/components/schemas/{name}")}),
    }
}

/// What holds for every operation, in Markdown.
const DESCRIPTION: &str = "\
Face sets, persons and faces: enrol, search, compare, detect. Members of answers are left out where there is nothing to say, \
never null. Unknown members of requests are refused. In a `PATCH` what is absent stays and `null` takes away. Of the examples \
words in capitals (`FACE`, `KEY`, `UPLOAD`, `ID.SECRET`) stand for what earlier answers named; everything else can be sent as it is.

**Filters** (`filter` of a search or a delete): `NAME:VALUE` passes faces whose custom field NAME has that value; `subject` and \
`face_id` are label and id. `VALUE` is a word, a text in double quotes (a backslash before a quote or backslash), `true` or \
`false`, a number, `*` for any value at all, several in parentheses (`city:(rome OR oslo)`), or of numbers a range with its \
bounds (`age:[18 TO 65]`), without them (`{18 TO 65}`) or open (`age:[18 TO *]`). `&&` or `AND`, `||` or `OR`, `!` or `NOT` and \
parentheses put them together; `!` binds strongest, then `&&`. A face without a value passes no test on it, and so does pass \
its negation. At most 4,096 characters and 32 levels.";

const STAFF: &[(&str, &str)] = &[("name", "staff")];
const STAFF_FACE: &[(&str, &str)] = &[("name", "staff"), ("id", "FACE")];
const ANNA: &[(&str, &str)] = &[("key", "anna")];
const ANNA_FACE: &[(&str, &str)] = &[("key", "anna"), ("id", "PERSON_FACE")];
const KEY: &[(&str, &str)] = &[("id", "KEY")];
const JOB: &[(&str, &str)] = &[("id", "JOB")];
const NORTH: &[(&str, &str)] = &[("name", "north")];

/// The picture of the examples, 64 x 77 pixels, so that they can be run as they are: the astronaut Eileen Collins, by NASA, in
/// the public domain. Tests with a fake analyzer replace it by one that this understands.
const PICTURE: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABIMDRANCxIQDhAUExIVGywdGxgYGzYnKSAsQDlEQz85Pj1HUGZXR0thTT0+WXlaYWltcnNyRVV9hnxvhWZwcm7/2wBDARMUFBsXGzQdHTRuST5Jbm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm7/wAARCABNAEADASIAAhEBAxEB/8QAGwAAAgIDAQAAAAAAAAAAAAAABAYDBQACBwH/xAAxEAACAQMCBQMCBQQDAAAAAAABAgMABBESIQUiMUFhBhNRcaEjMkJSkSRicsGBkrH/xAAYAQEAAwEAAAAAAAAAAAAAAAABAAIDBP/EABoRAQEBAQEBAQAAAAAAAAAAAAABEQISMSH/2gAMAwEAAhEDEQA/AK4szS4GQO570eG/CVPaDYGfpUEwjjtzMNsHbzXvC/enid1znOMGubW2NTcPFMSwKAnYiiYLl85yW+TkGonDyMVkU6vgisjzG4YqV84oOD2CsmWRSPK14tu7qWidR/b0NCveGIFsED7H/itZL9VGpW2+PFQA+JTsAVZQGU7HNB2UzSykSjlwRgnvXt9ci50uQCQdOfmtFKaSqxlWG7MSaQmupi8QVTnvV76dQx2SnSWZyTtSrDISdI6Z/mnS0tnWxRIG0NpwD8VJMI5os80tvnP7SDUqw20qDCjPkYNUj8Mulu4pGuJDEANeZMknvVnYB0x7hzVi3uOH2jIQ6DGNzVNfcHtJYz7cjqflVJo+8llluPbiOMdaBduJRXjosxWALlWK5yamahZuLGWAvokDKu/n+KhhuDJkFj03UbUwXGu6iaWRAr4wxHelu1TFzpb50mp9itM1x6e9m5LQ7x5BxTFY8sYHxUrIT4NCoXWRwuDzHptT1Munm6PmKxbtpwaG1c5PzUC6ppdU7BcflTP3qXRcAl48MB0XH+6PqwR3Ed6pY9aOKhh0zn4qpu1uXlLSKFGMYHai7WdlTQWzj7UELxDTGjoNhSbq/qmKjJL7AfWm27LXM+hAWLHAA71PwrgMVrObqSP8T9IbtTJqlbSepLNDgg/9gKlsL6G8Z5YTsW6ZzXNApPY04ejkJ4fNgYZZMjztWnfxTm/plvLeK4VS6AlTqUnsa2SOH2ssjxnpyv8A6rW3lEnKdiNiD2qV4spncVnGsVfEIoZOSMyjV31bgeKIt4YbSxwq4A6ZOT9c1kyKnMxO3zQVzd6l0g7dhRUqThsfucQ19owWJ8npVyxoXh8IitEwOZxqY/JNE42rXmZGVu1yQuSetNHoy/ggZ7edwjOQVLbA+KWAgG9Yrc9NmiXHUrm3JIkhJVuxFAS397COe3147qaRory4hH4U8qf4uRRKcd4lGNryQ+Hw3/tU8rejFNeXN2N09tagkIhieRt8Ak1TH1Jd6SrpEx/dpxQNzxK6ugVkk5T+ldhU8VL0fuD8ft72FQzAEADPTHgjt9auCK5HbzyW0yyQsVYfen/03xKW6jijkHK6Fhv+XHb6VqrK/9k=";

fn details(name: &str) -> Option<Details> {
    use Takes::{Archive, Json, MaybeJson, Nothing, Posted};
    let image = || json!({"base64": PICTURE});
    let d =
        |query, takes, status, gives, path, body| Some(Details { query, takes, status, gives, example: (path, body) });
    match name {
        "begin_session" => d(&[], MaybeJson("BeginSession"), 201, "Session", &[], json!({"key": "ID.SECRET"})),
        "show_session" => d(&[], Nothing, 200, "Session", &[], Value::Null),
        "end_session" => d(&[], Nothing, 200, "", &[], Value::Null),
        "make_ticket" => d(&[], Nothing, 201, "Ticket", &[], Value::Null),
        "show_status" => d(&[], Nothing, 200, "Status", &[], Value::Null),
        "list_packs" => d(&[], Nothing, 200, "Packs", &[], Value::Null),
        "show_settings" => d(&[], Nothing, 200, "Settings", &[], Value::Null),
        "show_metrics" => d(&[], Nothing, 200, "Metrics", &[], Value::Null),
        "list_face_sets" => d(
            &[("tags", "string", "only sets that have all of these tags, between commas"), LIMIT, CURSOR],
            Nothing,
            200,
            "FaceSets",
            &[],
            Value::Null,
        ),
        "create_face_set" => d(
            &[],
            Json("CreateFaceSet"),
            201,
            "FaceSet",
            &[],
            json!({"name": "staff", "fields": [{"name": "age", "type": "integer"}], "quality": "none", "thumbnails": true}),
        ),
        "show_face_set" => d(&[], Nothing, 200, "FaceSet", STAFF, Value::Null),
        "update_face_set" => {
            d(&[], Json("UpdateFaceSet"), 200, "FaceSet", STAFF, json!({"label": "Everybody", "tags": ["door-3"]}))
        }
        "delete_face_set" => {
            d(&[("only_if_empty", "boolean", "refuse if the set has faces")], Nothing, 200, "", STAFF, Value::Null)
        }
        "list_faces" => d(
            &[
                LIMIT,
                CURSOR,
                ("include", "string", "`templates` for the template of each face; needs the grant `templates`"),
                ("offset", "integer", "entries to leave out, for clients of earlier versions; excludes `cursor`"),
            ],
            Nothing,
            200,
            "Faces",
            STAFF,
            Value::Null,
        ),
        "add_faces" => d(
            &[],
            Posted("AddFaces"),
            201,
            "Faces",
            STAFF,
            json!({"image": image(), "subject": "anna", "external_id": "photo-1", "fields": {"age": 30}}),
        ),
        "show_face" => d(&[], Nothing, 200, "Face", STAFF_FACE, Value::Null),
        "show_thumbnail" => d(&[], Nothing, 200, PICTURE_FILE, STAFF_FACE, Value::Null),
        "list_thumbnails" => d(&[], Json("ThumbnailsOf"), 200, "Thumbnails", STAFF, json!({"ids": ["FACE"]})),
        "list_person_thumbnails" => {
            d(&[], Json("ThumbnailsOf"), 200, "Thumbnails", ANNA, json!({"ids": ["PERSON_FACE"]}))
        }
        "update_face" => {
            d(&[], Json("UpdateFace"), 200, "Face", STAFF_FACE, json!({"note": "by the window", "fields": {"age": 31}}))
        }
        "delete_face" => d(&[], Nothing, 200, "FacesDeleted", STAFF_FACE, Value::Null),
        "delete_faces" => d(&[], Json("DeleteFaces"), 200, "FacesDeleted", STAFF, json!({"filter": "subject:bert"})),
        "add_faces_later" => d(
            &[],
            Json("AddFacesLater"),
            202,
            "Job",
            STAFF,
            json!({"photos": [{"image": {"upload": "UPLOAD"}, "subject": "carl", "external_id": "photo-3"}]}),
        ),
        "delete_faces_later" => d(&[], Json("DeleteFaces"), 202, "Job", STAFF, json!({"subject": "bert"})),
        "count_faces" => {
            d(&[], Json("DeleteFaces"), 200, "FacesMeant", STAFF, json!({"filter": "subject:* && !subject:bert"}))
        }
        "enrolled" => {
            d(&[], Json("ExternalIds"), 200, "ExternalIds", STAFF, json!({"external_ids": ["photo-1", "photo-2"]}))
        }
        "export_faces" => d(
            &[("from", "integer", "`next` of an earlier answer"), LIMIT],
            Nothing,
            200,
            "ArchivePage",
            STAFF,
            Value::Null,
        ),
        "import_faces" => {
            d(&[], Json("ImportFaces"), 200, "FacesImported", STAFF, json!({"pack": "default-2", "faces": []}))
        }
        "export_faces_later" => d(&[], Nothing, 202, "Job", STAFF, Value::Null),
        "import_faces_later" => d(
            &[("capacity", "integer", "most faces that the set may hold, if it is made")],
            Archive,
            202,
            "Job",
            STAFF,
            Value::String(SMALL_ARCHIVE.to_owned()),
        ),
        "fetch_archive" => d(&[], Nothing, 200, ARCHIVE, &[("id", "EXPORT")], Value::Null),
        "erase_archive" => d(&[], Nothing, 200, "ArchiveErased", &[("id", "EXPORT")], Value::Null),
        "list_members" => d(LISTING, Nothing, 200, "Persons", STAFF, Value::Null),
        "search" => d(&[], Posted("Search"), 200, "SearchAnswer", STAFF, json!({"image": image(), "top": 3})),
        "search_picture" => d(
            &[],
            Posted("SearchPicture"),
            200,
            "PictureSearched",
            STAFF,
            json!({"image": image(), "faces_max": 20, "top": 1}),
        ),
        "compare" => d(&[], Posted("Compare"), 200, "Comparison", &[], json!({"image_a": image(), "image_b": image()})),
        "compare_many" => d(
            &[],
            Json("CompareMany"),
            200,
            "ManyCompared",
            &[],
            json!({"image": image(), "others": [image(), image()], "far": 1e-5}),
        ),
        "detect" => {
            d(&[], Posted("Detect"), 200, "Detections", &[], json!({"image": image(), "assess": "quality,pose"}))
        }
        "liveness" => d(&[], Posted("Liveness"), 200, "Judged", &[], json!({"image": image()})),
        "upload" => d(&[], Posted("PutUpload"), 201, "Uploaded", &[], json!({"image": image()})),
        "list_persons" => d(LISTING, Nothing, 200, "Persons", &[], Value::Null),
        "create_person" => d(
            &[],
            Json("CreatePerson"),
            201,
            "Person",
            &[],
            json!({"key": "anna", "name": "Anna", "face_sets": ["staff"]}),
        ),
        "show_person" => d(&[], Nothing, 200, "Person", ANNA, Value::Null),
        "update_person" => d(&[], Json("UpdatePerson"), 200, "Person", ANNA, json!({"name": "Anna B."})),
        "delete_person" => d(&[], Nothing, 200, "PersonDeleted", ANNA, Value::Null),
        "list_person_faces" => d(LISTING, Nothing, 200, "Faces", ANNA, Value::Null),
        "add_person_face" => d(&[], Posted("AddPersonFace"), 201, "Faces", ANNA, json!({"image": image()})),
        "delete_person_face" => d(&[], Nothing, 200, "FacesDeleted", ANNA_FACE, Value::Null),
        "change_memberships" => d(&[], Json("ChangeMemberships"), 200, "Person", ANNA, json!({"join": ["guests"]})),
        "compare_person" => d(&[], Posted("ComparePerson"), 200, "PersonCompared", ANNA, json!({"image": image()})),
        "move_faces" => {
            d(&[], Json("MoveFaces"), 200, "Faces", ANNA, json!({"to": "bert", "face_ids": ["PERSON_FACE"]}))
        }
        "merge_persons" => d(&[], Json("MergePerson"), 200, "PersonMerged", ANNA, json!({"from": "bert"})),
        "split_person" => {
            d(&[], Json("SplitPerson"), 201, "Person", ANNA, json!({"key": "carl", "face_ids": ["PERSON_FACE"]}))
        }
        "list_keys" => d(LISTING, Nothing, 200, "Keys", &[], Value::Null),
        "create_key" => d(
            &[],
            Json("CreateKey"),
            201,
            "Key",
            &[],
            json!({"grants": ["read", "search"], "label": "door 3", "expires_in_s": 7_776_000}),
        ),
        "show_key" => d(&[], Nothing, 200, "Key", KEY, Value::Null),
        "update_key" => d(&[], Json("UpdateKey"), 200, "Key", KEY, json!({"enabled": false})),
        "rotate_key" => d(&[], MaybeJson("RotateKey"), 200, "Key", KEY, json!({"overlap_s": 3600})),
        "delete_key" => d(&[], Nothing, 200, "KeyDeleted", KEY, Value::Null),
        "list_changes" => d(
            &[
                ("since", "integer", "only what came after this revision; excludes `cursor`"),
                ("face_set", "string", "only what changed of this face set and of the faces in it"),
                LIMIT,
                CURSOR,
            ],
            Nothing,
            200,
            "Changes",
            &[],
            Value::Null,
        ),
        "list_jobs" => d(LISTING, Nothing, 200, "Jobs", &[], Value::Null),
        "show_job" => d(&[], Nothing, 200, "Job", JOB, Value::Null),
        "cancel_job" => d(&[], Nothing, 200, "JobCancelled", JOB, Value::Null),
        "list_tenants" => d(LISTING, Nothing, 200, "Tenants", &[], Value::Null),
        "create_tenant" => {
            d(&[], Json("CreateTenant"), 201, "Tenant", &[], json!({"name": "north", "limits": {"faces_max": 100_000}}))
        }
        "show_tenant" => d(&[], Nothing, 200, "Tenant", NORTH, Value::Null),
        "update_tenant" => d(
            &[],
            Json("UpdateTenant"),
            200,
            "Tenant",
            NORTH,
            json!({"limits": {"faces_max": 50_000, "calls_per_second": 50}}),
        ),
        "delete_tenant" => d(
            &[("confirm", "string", "the tenant's name once more: there is no way back")],
            Nothing,
            200,
            "TenantDeleted",
            NORTH,
            Value::Null,
        ),
        "create_tenant_key" => {
            d(&[], Json("CreateKey"), 201, "Key", NORTH, json!({"grants": ["read", "manage"], "label": "first"}))
        }
        "show_report" => d(
            &[("thorough", "boolean", "read every row, which takes long, and compare the index with the store")],
            Nothing,
            200,
            "Report",
            &[],
            Value::Null,
        ),
        "show_report_progress" => d(&[], Nothing, 200, "ReportProgress", &[], Value::Null),
        "acknowledge_losses" => d(&[], Nothing, 200, "AcknowledgedLosses", &[], Value::Null),
        _ => None,
    }
}

/// Whether the operation takes options in its query.
pub(super) fn takes_query(name: &str) -> bool {
    details(name).is_some_and(|details| !details.query.is_empty() || matches!(details.takes, Takes::Posted(_)))
}

/// An example of a request: path below the prefix with placeholders in capitals, and a body.
pub fn example(operation: &Operation) -> Option<(String, Value)> {
    let (arguments, body) = details(operation.name)?.example;
    let path = arguments
        .iter()
        .fold(operation.path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
    // What confirms repeats what is meant.
    let confirmed = arguments.first().filter(|_| operation.name == "delete_tenant");
    Some((confirmed.map_or(path.clone(), |(_, value)| format!("{path}?confirm={value}")), body))
}

/// The whole description.
pub fn document() -> Value {
    let schemas: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    let error = schema("ErrorAnswer");
    let mut paths = Map::new();
    for operation in operations() {
        let Some(details) = details(operation.name) else { continue };
        let described = described(&operation, details, &error, &examples[operation.name], &schemas);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_ascii_lowercase()] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Likeness",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{"key": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "bearerFormat": "ID.SECRET of an access key"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    })
}

/// What can be asked next with what an operation answered: operations, and the arguments of their paths.
fn links(name: &str) -> Option<(&'static [&'static str], Value)> {
    Some(match name {
        "create_face_set" => (
            &[
                "show_face_set",
                "update_face_set",
                "list_faces",
                "add_faces",
                "search",
                "list_members",
                "delete_face_set",
            ],
            json!({"name": "$response.body#/name"}),
        ),
        "add_faces" => (
            &["show_face", "show_thumbnail", "update_face", "delete_face"],
            json!({"name": "$request.path.name", "id": "$response.body#/faces/0/id"}),
        ),
        "create_person" => (
            &["show_person", "update_person", "list_person_faces", "change_memberships", "delete_person"],
            json!({"key": "$response.body#/key"}),
        ),
        "create_tenant" => (
            &["show_tenant", "update_tenant", "create_tenant_key", "delete_tenant"],
            json!({"name": "$response.body#/name"}),
        ),
        "create_key" => (&["show_key", "update_key", "rotate_key", "delete_key"], json!({"id": "$response.body#/id"})),
        _ => return None,
    })
}

fn described(operation: &Operation, details: Details, error: &Value, example: &Value, schemas: &Value) -> Value {
    let Details { query, takes, status, gives, example: (_, body_example) } = details;
    let mut parameters: Vec<Value> = path_arguments(operation.path);
    for (name, kind, about) in query {
        let mut option = json!({"name": name, "in": "query", "description": about, "schema": typed(name, kind)});
        if *name == "confirm" {
            option["required"] = json!(true);
        }
        parameters.push(option);
    }
    let takes_archive = matches!(takes, Takes::Archive);
    let request = match takes {
        Takes::Nothing | Takes::Archive => None,
        Takes::Json(name) => Some((schema(name), false, true)),
        Takes::MaybeJson(name) => Some((schema(name), false, false)),
        Takes::Posted(name) => Some((schema(name), true, true)),
    };
    if operation.method != "GET" && !takes_archive && !idempotency::shows_secrets(operation.path) {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "names the request: sent again within a day it is not carried out again, and has the same answer",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }));
    }
    if operation.method == "PATCH" && !operation.path.starts_with("/keys") {
        parameters.push(json!({
            "name": "If-Match", "in": "header",
            "description": "`ETag` of an earlier answer: the change is made only if nobody has changed it since",
            "schema": {"type": "string", "pattern": "^(\\*|\"[0-9a-f]*\")$"},
        }));
    }
    let grants: Vec<&str> = operation.needs.iter().map(|grant| grant.word()).collect();
    let needs = match grants.is_empty() {
        true => "Needs no grant.".to_owned(),
        false => format!("Needs the grants: {}.", grants.join(", ")),
    };
    let mut answer = json!({"description": "done", "content": {"application/json": {"schema": schema(gives)}}});
    if gives == ARCHIVE {
        let file = json!({"schema": {"type": "string", "format": "binary"}});
        answer["content"] = json!({"application/octet-stream": file, "application/zstd": file});
    } else if gives == PICTURE_FILE {
        answer["content"] = json!({"image/jpeg": {"schema": {"type": "string", "format": "binary"}}});
    } else if !example.is_null() {
        answer["content"]["application/json"]["example"] = example.clone();
    }
    if let Some((operations, parameters)) = links(operation.name) {
        let link = |name: &&str| ((*name).to_owned(), json!({"operationId": name, "parameters": parameters}));
        answer["links"] = Value::Object(operations.iter().map(link).collect());
    }
    let refusal = |about: &str| json!({"description": about, "content": {"application/json": {"schema": error}}});
    let mut responses = json!({
        "401": refusal("nobody is known by this key or session"),
        "403": refusal("the key may not do this"),
        "default": refusal("refused; the codes are on the page `/likeness/v1/docs`"),
    });
    responses[status.to_string()] = answer;
    if operation.name == "fetch_archive" {
        let part = responses["200"]["content"].clone();
        responses["206"] = json!({"description": "the stretch that `Range` names", "content": part});
        responses["416"] = refusal("the stretch begins behind the archive's end");
        for (name, about) in RANGE_HEADERS {
            parameters.push(json!({"name": name, "in": "header", "schema": {"type": "string"}, "description": about}));
        }
    }
    let mut described = json!({
        "operationId": operation.name,
        "summary": operation.about,
        "description": needs,
        // The same for programs: of these kinds of proof the words are roles (OpenAPI 3.1, Security Requirement Object).
        "security": [{"key": &grants}, {"session": &grants}],
        "tags": [operation.path.split('/').nth(1).unwrap_or_default()],
        "responses": responses,
    });
    if let Some((schema, is_posted, is_required)) = request {
        let mut content = json!({"application/json": {"schema": schema, "example": body_example}});
        if is_posted {
            let options = options_of(&schema, schemas);
            parameters.extend(options.iter().filter(|(_, option)| !is_image(option)).map(|(name, option)| {
                json!({
                    "name": name, "in": "query", "schema": as_text(option),
                    "description": "with a raw image only: the option of that name in the body",
                })
            }));
            let properties: Map<String, Value> = options
                .iter()
                .map(|(name, option)| {
                    let image =
                        json!({"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"});
                    (name.clone(), if is_image(option) { image } else { as_text(option) })
                })
                .collect();
            let images: Vec<&String> =
                options.iter().filter(|(_, option)| is_image(option)).map(|(name, _)| name).collect();
            let has_fields = operation.name == "add_faces";
            let others = if has_fields { json!({"type": "string"}) } else { json!(false) };
            let mut form = json!({"type": "object", "properties": properties, "additionalProperties": others});
            if operation.name != "search" {
                form["required"] = json!(images);
            }
            content["multipart/form-data"] = json!({"schema": form});
            if images == ["image"] {
                content["application/octet-stream"] = json!({"schema": {"type": "string", "format": "binary"}});
            }
        }
        described["requestBody"] = json!({"required": is_required, "content": content});
    }
    if takes_archive {
        let body = json!({"schema": {"type": "string", "format": "binary"}, "example": body_example});
        described["requestBody"] = json!({
            "required": true,
            "description": "an archive as `docs/archives.md` describes it; also as `application/zstd` or `application/x-ndjson`",
            "content": {"application/octet-stream": body},
        });
    }
    if !parameters.is_empty() {
        described["parameters"] = json!(parameters);
    }
    if operation.name == "begin_session" {
        described["security"] = json!([{}]);
    }
    described
}

/// No control character, as in `schemas.json`.
const PRINTABLE: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";

fn path_arguments(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let argument = |name: &str| {
        let (about, schema) = match (name, path.split('/').nth(1)) {
            ("name", Some("tenants")) => {
                ("name of the tenant", json!({"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}))
            }
            ("name", _) => (
                "name of the face set",
                json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": PRINTABLE}),
            ),
            ("key", _) => {
                ("key of the person", json!({"type": "string", "minLength": 1, "maxLength": 64, "pattern": PRINTABLE}))
            }
            (_, Some("keys")) => {
                ("id of the access key", json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}))
            }
            (_, Some("jobs")) => ("id of the job", json!({"type": "string", "pattern": "^[1-9][0-9]*$"})),
            _ => ("id of the face", json!({"type": "string", "pattern": "^[1-9][0-9]*$"})),
        };
        json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
    };
    names.map(argument).collect()
}

fn typed(name: &str, kind: &str) -> Value {
    match (name, kind) {
        ("limit", _) => json!({"type": "integer", "minimum": 1, "maximum": 1000}),
        ("include", kind) => json!({"type": kind, "enum": ["templates"]}),
        ("cursor", kind) => json!({"type": kind, "minLength": 1}),
        (_, "integer") => json!({"type": "integer", "minimum": 0, "maximum": OFFSET_MAX}),
        (_, kind) => json!({"type": kind}),
    }
}

/// Names and schemas of the members of an object's schema.
fn options_of(schema: &Value, schemas: &Value) -> Vec<(String, Value)> {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let resolved = &schemas[name];
    let members = resolved["properties"].as_object();
    members
        .into_iter()
        .flatten()
        .filter(|(_, option)| option["type"] != "object")
        .map(|(name, option)| (name.clone(), option.clone()))
        .collect()
}

fn is_image(option: &Value) -> bool {
    option.to_string().contains("\"#/components/schemas/Image\"")
}

/// An option as a query or a form spells it: lists as words between commas.
fn as_text(option: &Value) -> Value {
    match option["type"].as_str() {
        Some("array") => json!({"type": "string"}),
        _ => {
            let mut plain = json!({"type": option["type"].as_str().unwrap_or("string")});
            for name in ["minimum", "maximum", "exclusiveMinimum", "enum", "minLength", "maxLength", "pattern"] {
                if !option[name].is_null() {
                    plain[name] = option[name].clone();
                }
            }
            plain
        }
    }
}

/// `GET /openapi.json`: for everybody, as it says nothing but what the program can do.
pub(super) async fn show() -> Response {
    // Made once: it takes some ms, and anybody may ask.
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| json_text::write(&document()).into());
    let mut response = Response::new(TEXT.clone().into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

const PAGE: &str = include_str!("openapi/page.html");
const PAGE_SCRIPT: &str = include_str!("openapi/page.js");
const PAGE_STYLE: &str = include_str!("openapi/page.css");

/// Status, code and meaning of every refusal, as in `docs/native.md`.
pub const CODES: &str = include_str!("openapi/codes.json");

/// The page with the codes of errors in it, each with an anchor, so that they can be linked to without a script.
pub fn page_text() -> String {
    let codes: Vec<Value> = serde_json::from_str(CODES).unwrap_or_default();
    let mut seen: Vec<&str> = Vec::new();
    let mut rows = String::new();
    for row in &codes {
        let (code, about) = (row["code"].as_str().unwrap_or_default(), row["about"].as_str().unwrap_or_default());
        let anchor = if seen.contains(&code) { String::new() } else { format!(" id=\"{code}\"") };
        seen.push(code);
        let about = about.replace('&', "&amp;").replace('<', "&lt;");
        let about: String = about
            .split('`')
            .enumerate()
            .map(|(idx, part)| if idx % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
            .collect();
        rows.push_str(&format!(
            "<tr{anchor}><td>{}</td><td><code>{code}</code></td><td>{about}</td></tr>\n",
            row["status"]
        ));
    }
    PAGE.replace("<!-- codes -->\n", &rows)
}

/// The page loads nothing from anywhere else, and nothing else may show it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// `GET /docs`
pub(super) async fn page() -> Response {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| page_text().into());
    file("text/html; charset=utf-8", TEXT.clone())
}

/// `GET /docs/`: what the page loads is named relative to the path without the slash.
pub(super) async fn page_with_slash() -> Response {
    let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("../docs"));
    response
}

/// `GET /docs/page.js`
pub(super) async fn page_script() -> Response {
    file("text/javascript; charset=utf-8", PAGE_SCRIPT)
}

/// `GET /docs/page.css`
pub(super) async fn page_style() -> Response {
    file("text/css; charset=utf-8", PAGE_STYLE)
}

fn file(content_type: &'static str, text: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
