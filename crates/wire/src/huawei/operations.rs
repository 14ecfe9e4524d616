//! Every operation of the vendor's reference: the table for routing, with how far each is done.

use crate::adapter::{self, State, needs};

/// A row of the table.
pub(super) type Row = adapter::Row<Operation, Form>;

/// What its requests look like besides method and path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// The first path segments that it answers under: `{v}` in the path.
    pub(super) versions: &'static [&'static str],
    pub(super) body: Body,
}

/// What an operation reads of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Nothing,
    Json,
    JsonOrForm,
}

impl Form {
    /// Whether the vendor's identity service answers it, for which there is no project in the path.
    pub(super) fn is_of_identity(self) -> bool {
        self == IAM
    }
}

const FRS: Form = Form { versions: &["v2", "v1"], body: Body::Nothing };
const FRS_JSON: Form = Form { body: Body::Json, ..FRS };
const FRS_FORM: Form = Form { body: Body::JsonOrForm, ..FRS };
const FRS_V1: Form = Form { versions: &["v1"], body: Body::Nothing };
const IAM: Form = Form { versions: &["v3"], body: Body::Nothing };

const SETS: &str = "/{v}/{project_id}/face-sets";
const SET: &str = "/{v}/{project_id}/face-sets/{face_set_name}";
const FACES: &str = "/{v}/{project_id}/face-sets/{face_set_name}/faces";
const BATCH: &str = "/{v}/{project_id}/face-sets/{face_set_name}/faces/batch";
const SEARCH: &str = "/{v}/{project_id}/face-sets/{face_set_name}/search";
const STATUS: &str = "/{v}/{project_id}/subscribe";
const SOME_ATTRIBUTES: State = State::Partly("dress, mask, hair, beard are `unknown`, phototype is left out");
const KEYS_ARE_USERS: State = State::Partly("the methods `password`, with an access key as user, and `token`");
const NEEDS_LANDMARKS: State =
    State::Partly("needs ffmpeg and a pack with a face mesh (the default) or `attributes`, else `FRS.0020`");
const NEEDS_LIVENESS: State = State::Partly("needs the `liveness` pack, else `FRS.0020`");

adapter::operations! {
    $ Row = Row;
    DetectFaces: "DetectFace", "POST" "/{v}/{project_id}/face-detect", SOME_ATTRIBUTES, needs::SEARCH, FRS_FORM => detect_faces;
    CompareFaces: "CompareFace", "POST" "/{v}/{project_id}/face-compare", State::Done, needs::SEARCH, FRS_FORM => compare_faces;
    CreateFaceSet: "CreateFaceSet", "POST" SETS, State::Done, needs::MANAGE, FRS_JSON => create_face_set;
    ListFaceSets: "ShowAllFaceSets", "GET" SETS, State::Done, needs::READ, FRS => list_face_sets;
    ShowFaceSet: "ShowFaceSet", "GET" SET, State::Done, needs::READ, FRS => show_face_set;
    DeleteFaceSet: "DeleteFaceSet", "DELETE" SET, State::Done, needs::DELETE_SET, FRS => delete_face_set;
    AddFaces: "AddFaces", "POST" FACES, State::Done, needs::ENROL, FRS_FORM => add_faces;
    ListFaces: "ShowFaces", "GET" FACES, State::Done, needs::READ, FRS => list_faces;
    UpdateFace: "UpdateFace", "PUT" FACES, State::Done, needs::ENROL, FRS_JSON => update_face;
    DeleteFaces: "DeleteFace", "DELETE" FACES, State::Done, needs::DELETE, FRS => delete_faces;
    BatchDeleteFaces: "BatchDeleteFaces", "DELETE" BATCH, State::Done, needs::DELETE, FRS_JSON => batch_delete_faces;
    SearchFaces: "SearchFace", "POST" SEARCH, State::Done, needs::SEARCH, FRS_FORM => search_faces;
    DetectLive: "DetectLive", "POST" "/{v}/{project_id}/live-detect", NEEDS_LANDMARKS, needs::SEARCH, FRS_FORM => detect_live;
    DetectLiveFace: "DetectLiveFace", "POST" "/{v}/{project_id}/live-detect-face", NEEDS_LIVENESS, needs::SEARCH, FRS_FORM
        => detect_live_face;
    CreateToken: "KeystoneCreateUserTokenByPassword", "POST" "/{v}/auth/tokens", KEYS_ARE_USERS, needs::NOTHING, IAM;
    CheckToken: "KeystoneValidateToken", "GET" "/{v}/auth/tokens", State::Done, needs::NOTHING, IAM;
    ListAuthProjects: "KeystoneListAuthProjects", "GET" "/{v}/auth/projects", State::Done, needs::NOTHING, IAM;
    ListDomains: "KeystoneListAuthDomains", "GET" "/{v}/auth/domains", State::Done, needs::NOTHING, IAM;
    ListVersions: "KeystoneListVersions", "GET" "/", State::Done, needs::NOTHING, IAM;
    ShowVersion: "KeystoneShowVersion", "GET" "/{v}", State::Done, needs::NOTHING, IAM;
    ListProjects: "KeystoneListProjects", "GET" "/{v}/projects", State::Done, needs::NOTHING, IAM;
    ShowSubscription: "ShowSubscription", "GET" STATUS, State::Done, needs::NOTHING, FRS_V1 => service_status;
    CreateSubscription: "CreateSubscription", "POST" STATUS, State::Done, needs::NOTHING, FRS_V1 => service_status;
}

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter =
    adapter::Adapter { name: "huawei", mounts: &["v1", "v2", "v3"], operations: INFOS, scale: super::scale::scale };

/// A request's place in the table.
pub(super) struct Route {
    pub(super) row: &'static Row,
    pub(super) project_id: String,
    pub(super) face_set_name: String,
}

/// Finds the operation of a method and raw path.
pub(super) fn find(method: &http::Method, raw_path: &str) -> Option<Route> {
    let segments = crate::http::target::segments(raw_path)?;
    TABLE.iter().find_map(|row| {
        let mut route = Route { row, project_id: String::new(), face_set_name: String::new() };
        let pattern = row.info.path.split('/').skip(1);
        let fits = row.info.method == method.as_str()
            && pattern.clone().count() == segments.len()
            && pattern.zip(&segments).all(|(wanted, segment)| match wanted {
                "{v}" => row.extra.versions.contains(&segment.as_str()),
                "{project_id}" => {
                    route.project_id.clone_from(segment);
                    !segment.is_empty()
                }
                "{face_set_name}" => {
                    route.face_set_name.clone_from(segment);
                    !segment.is_empty()
                }
                word => word == segment,
            });
        fits.then_some(route)
    })
}
