//! The description of the native API, OpenAPI 3.1: made of the table of operations, so that it has every operation and no other.
//!
//! What the table does not know of an operation stands in [`details`](super::details). `schemas.json` has the types of
//! [`dto`](super::dto) in JSON Schema; tests compare the members of each request with what the program reads, and every answer
//! with its schema, down to members that are not described. `examples.json` has the answers to the examples, as a server gave
//! them; a test asks for them again, and another compares the whole document with `docs/openapi.json`.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use likeness_domain::limits;
use serde_json::{Map, Value, json};

use super::convert::OFFSET_MAX;
use super::details::{ARCHIVE, Details, PICTURE_FILE, Takes, details};
use super::dto::PREFIX;
use super::idempotency;
use super::sessions::COOKIE;
use super::table::{Operation, operations};
use crate::http::json as json_text;

/// Answers to the examples of requests, by the operation's name.
const EXAMPLES: &str = include_str!("openapi/examples.json");

/// The types of requests and answers by their names.
const SCHEMAS: &str = include_str!("openapi/schemas.json");

/// The heads by which a stretch of an archive is asked for.
const RANGE_HEADERS: [(&str, &str); 2] = [
    ("Range", "one stretch, as in `bytes=1000-`; a fetch that broke off goes on behind the bytes that arrived"),
    ("If-Range", "the `ETag` of the answer that broke off; where it is another one the whole is sent"),
];

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
    let mut schemas: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    // What is enrolled later is asked for in the same words, with an image that is elsewhere meanwhile.
    schemas["AddFacesOf"] = schemas["AddFaces"].clone();
    schemas["AddFacesOf"]["properties"]["image"] = schema("ImageElsewhere");
    schemas["ImageElsewhere"] = schemas["Image"].clone();
    schemas["ImageElsewhere"]["description"] = json!("An image that was uploaded or has an address.");
    schemas["ImageElsewhere"]["oneOf"].as_array_mut().into_iter().for_each(|choices| drop(choices.remove(0)));
    // What is uploaded is the image itself.
    schemas["ImageItself"] = schemas["Image"]["oneOf"][0].clone();
    schemas["PutUpload"]["properties"]["image"] =
        json!({"$ref": "#/components/schemas/ImageItself", "description": "The image itself, in base64; no address."});
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
            option["schema"]["minLength"] = json!(1);
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
    let is_kept = !idempotency::only_reads(&operation.method.parse().expect("a method of the table"), operation.path);
    if is_kept && !takes_archive && !idempotency::shows_secrets(operation.path) {
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
            "schema": {"type": "string", "minLength": 1, "pattern": "^(\\*|\"[0-9a-f]+\")$"},
        }));
    }
    let grants: Vec<&str> = operation.needs.iter().map(|grant| grant.word()).collect();
    let needs = match grants.is_empty() {
        true => "Needs no grant.".to_owned(),
        false => format!("Needs the grants: {}.", grants.join(", ")),
    };
    let needs = match operation.name {
        "add_faces" => format!("{needs} In a query or a form a custom value is given as `field.NAME`."),
        _ => needs,
    };
    let mut answer = json!({"description": "done", "content": {"application/json": {"schema": schema(gives)}}});
    if gives == ARCHIVE {
        let file = json!({"schema": {"type": "string", "format": "binary"}});
        answer["content"] = json!({"application/octet-stream": file, "application/zstd": file});
    } else if gives == PICTURE_FILE {
        let file = json!({"schema": {"type": "string", "format": "binary"}});
        answer["content"] = json!({"application/octet-stream": file, "image/jpeg": file});
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
    if ["create_face_set", "update_face_set"].contains(&operation.name) {
        let about = "thumbnails that were kept before are still being erased, or the server is too busy; `Retry-After` says when";
        responses["503"] = refusal(about);
    }
    if operation.name == "show_session" {
        responses["204"] = json!({"description": "nobody is signed in, and `if_any` was given"});
    }
    if operation.name == "fetch_archive" {
        let part = responses["200"]["content"].clone();
        responses["206"] = json!({"description": "the stretch that `Range` names", "content": part});
        responses["416"] = refusal("the stretch begins behind the archive's end");
        for (name, about) in RANGE_HEADERS {
            parameters.push(json!({"name": name, "in": "header", "schema": {"type": "string"}, "description": about}));
        }
    }
    let about =
        "the trace of the caller that this request is a part of (W3C Trace Context), where the server makes traces";
    parameters.push(json!({"name": "traceparent", "in": "header", "schema": {"type": "string"}, "description": about}));
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
            let properties: Map<String, Value> = options
                .iter()
                .map(|(name, option)| {
                    let image =
                        json!({"type": "string", "contentMediaType": "application/octet-stream", "format": "binary", "minLength": 1});
                    (name.clone(), if is_image(option) { image } else { as_text(option) })
                })
                .collect();
            let images: Vec<&String> =
                options.iter().filter(|(_, option)| is_image(option)).map(|(name, _)| name).collect();
            let has_fields = operation.name == "add_faces";
            let mut form = json!({"type": "object", "properties": properties, "additionalProperties": false});
            if has_fields {
                form["patternProperties"] = json!({"^field\\.[A-Za-z0-9_-]{1,36}$": {"type": "string"}});
            }
            if operation.name != "search" {
                form["required"] = json!(images);
            }
            // The `not` of JSON bodies, by which options exclude each other, is left out: schemathesis fails (4.32) where it
            // stands beside a file. Words say it.
            let exclude = "at most one of `similarity_min`, `far` and `false_matches`";
            match operation.name {
                "search" => {
                    let who = "exactly one of `image`, `face_id`, `person` and `template`";
                    form["description"] = json!(format!("{who}; {exclude}"));
                }
                "search_picture" => form["description"] = json!(exclude),
                _ => {}
            }
            content["multipart/form-data"] = json!({"schema": form});
            if images == ["image"] {
                let file = json!({"schema": {"type": "string", "format": "binary", "minLength": 1}});
                content["application/octet-stream"] = file;
                // A parameter of OpenAPI would belong to the JSON request as well, which has its options in its body and is
                // refused with others.
                let in_query: Vec<(&String, Value)> = options
                    .iter()
                    .filter(|(_, option)| !is_image(option))
                    .map(|(name, option)| (name, as_text(option)))
                    .collect();
                let names: Vec<String> = in_query.iter().map(|(name, _)| format!("`{name}`")).collect();
                if !names.is_empty() {
                    let about = format!("{needs} With a raw image options are in the query: {}.", names.join(", "));
                    described["description"] = json!(about);
                    let option =
                        |(name, schema): (&String, Value)| json!({"name": name, "in": "query", "schema": schema});
                    described["x-with-raw-image"] = in_query.into_iter().map(option).collect();
                }
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

/// Words between commas, of at most 255 characters each.
const TAGS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f,]{0,255}(,[^\\u0000-\\u001f\\u007f-\\u009f,]{0,255}){0,127}$";

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
        ("include", "storage" | "thumbnails") => json!({"type": "string", "enum": [kind]}),
        ("begins", kind) => json!({"type": kind, "minLength": 1, "maxLength": limits::BEGINNING_CHARS_MAX}),
        ("filter", kind) => json!({"type": kind, "minLength": 1, "maxLength": limits::FILTER_CHARS_MAX}),
        ("tags", kind) => json!({"type": kind, "pattern": TAGS}),
        ("contains", kind) => json!({"type": kind, "minLength": 1, "maxLength": limits::BEGINNING_CHARS_MAX}),
        ("include", kind) => json!({"type": kind, "enum": ["templates"]}),
        ("face_set", kind) => json!({"type": kind, "minLength": 1, "maxLength": 255, "pattern": PRINTABLE}),
        ("cursor", kind) => json!({"type": kind, "minLength": 1}),
        ("since" | "from", _) => json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
        (_, "integer") => json!({"type": "integer", "minimum": 0, "maximum": OFFSET_MAX}),
        (_, kind) => json!({"type": kind}),
    }
}

/// The schema that a reference names.
fn resolved<'a>(schema: &Value, schemas: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    &schemas[name]
}

/// Names and schemas of the members of an object's schema.
fn options_of(schema: &Value, schemas: &Value) -> Vec<(String, Value)> {
    let members = resolved(schema, schemas)["properties"].as_object();
    members
        .into_iter()
        .flatten()
        .filter(|(_, option)| option["type"] != "object")
        .map(|(name, option)| (name.clone(), option.clone()))
        .collect()
}

fn is_image(option: &Value) -> bool {
    let text = option.to_string();
    ["Image", "ImageItself"].iter().any(|name| text.contains(&format!("\"#/components/schemas/{name}\"")))
}

/// An option as a query or a form spells it: lists as words between commas.
fn as_text(option: &Value) -> Value {
    // There is no null in a text.
    let kind = option["type"].as_str().or(option["type"][0].as_str()).unwrap_or("string");
    match kind {
        "array" => json!({"type": "string"}),
        _ => {
            let mut plain = json!({"type": kind});
            for name in ["minimum", "maximum", "exclusiveMinimum", "enum", "minLength", "maxLength", "pattern"] {
                if !option[name].is_null() {
                    plain[name] = option[name].clone();
                }
            }
            if let Some(values) = plain.get_mut("enum").and_then(Value::as_array_mut) {
                values.retain(|value| !value.is_null());
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
