//! What each operation of the native API takes and gives, which its handlers know and the table of operations does not:
//! the types, the options of its query, and an example of a request.

use serde_json::{Value, json};

/// An option of a query.
pub(super) type Option_ = (&'static str, &'static str, &'static str);

const LIMIT: Option_ = ("limit", "integer", "most entries of the answer");
const CURSOR: Option_ = ("cursor", "string", "`next_cursor` of an earlier answer to the same request");
/// Small pictures of the faces of an archive.
const PICTURES: Option_ = ("include", "thumbnails", "`thumbnails` for the small pictures of faces that have one");
const LISTING: &[Option_] = &[LIMIT, CURSOR];

/// What an operation takes besides its path.
pub(super) enum Takes {
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
pub(super) const ARCHIVE: &str = "archive";

/// Stands for a picture among the types of answers.
pub(super) const PICTURE_FILE: &str = "picture";

/// An archive that can be sent as it is: a header and no face.
const SMALL_ARCHIVE: &str =
    "{\"format\": \"likeness-archive\", \"version\": 1, \"pack\": \"default-2\", \"dimensions\": 128}\n";

/// What the table of operations does not know of one.
pub(super) struct Details {
    pub(super) query: &'static [Option_],
    pub(super) takes: Takes,
    pub(super) status: u16,
    pub(super) gives: &'static str,
    /// Values of the path's arguments and a body.
    pub(super) example: (&'static [(&'static str, &'static str)], Value),
}

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

/// What the operation of that name takes and gives.
pub(super) fn details(name: &str) -> Option<Details> {
    use Takes::{Archive, Json, MaybeJson, Nothing, Posted};
    let image = || json!({"base64": PICTURE});
    let d =
        |query, takes, status, gives, path, body| Some(Details { query, takes, status, gives, example: (path, body) });
    match name {
        "begin_session" => d(&[], MaybeJson("BeginSession"), 201, "Session", &[], json!({"key": "ID.SECRET"})),
        "show_session" => d(
            &[("if_any", "boolean", "answer 204 without a body where nobody is signed in, instead of refusing")],
            Nothing,
            200,
            "Session",
            &[],
            Value::Null,
        ),
        "end_session" => d(&[], Nothing, 200, "", &[], Value::Null),
        "make_ticket" => d(&[], Nothing, 201, "Ticket", &[], Value::Null),
        "show_status" => d(&[], Nothing, 200, "Status", &[], Value::Null),
        "list_packs" => d(&[], Nothing, 200, "Packs", &[], Value::Null),
        "show_settings" => d(&[], Nothing, 200, "Settings", &[], Value::Null),
        "show_metrics" => d(&[], Nothing, 200, "Metrics", &[], Value::Null),
        "list_face_sets" => d(
            &[
                ("tags", "string", "only sets that have all of these tags, between commas"),
                LIMIT,
                CURSOR,
                ("include", "storage", "`storage` for how many bytes the faces of each set take"),
            ],
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
                (
                    "filter",
                    "string",
                    "only faces that pass; `n_matching` says how many do. A cursor goes on with the same filter",
                ),
                (
                    "begins",
                    "string",
                    "only faces whose label or external id begins so, or whose person's key or name does",
                ),
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
            &[("from", "integer", "`next` of an earlier answer"), LIMIT, PICTURES],
            Nothing,
            200,
            "ArchivePage",
            STAFF,
            Value::Null,
        ),
        "import_faces" => {
            d(&[], Json("ImportFaces"), 200, "FacesImported", STAFF, json!({"pack": "default-2", "faces": []}))
        }
        "export_faces_later" => d(&[PICTURES], Nothing, 202, "Job", STAFF, Value::Null),
        "import_faces_later" => d(
            &[
                ("capacity", "integer", "most faces that the set may hold, if it is made"),
                ("thumbnails", "boolean", "whether the set keeps the archive's thumbnails, if it is made"),
            ],
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
        "list_persons" => d(
            &[
                LIMIT,
                CURSOR,
                (
                    "contains",
                    "string",
                    "only persons whose key or name has this text in it, small letters like capitals",
                ),
                ("include", "thumbnails", "`thumbnails` for a small picture of each person that has one"),
            ],
            Nothing,
            200,
            "Persons",
            &[],
            Value::Null,
        ),
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
            MaybeJson("CreateKey"),
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
                (
                    "since",
                    "integer",
                    "only what came after this revision; excludes `cursor`, which programs give: of a number nobody knows of which history it is",
                ),
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
            d(&[], MaybeJson("CreateKey"), 201, "Key", NORTH, json!({"grants": ["read", "manage"], "label": "first"}))
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
