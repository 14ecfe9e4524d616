//! Every operation of the vendor's reference: the table for routing, with how far each is done.

use likeness_domain::access::Grants;

use crate::adapter::{self, State, needs};

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    DetectFaces,
    CompareFaces,
    CreateFaceSet,
    ListFaceSets,
    ShowFaceSet,
    DeleteFaceSet,
    AddFaces,
    ListFaces,
    UpdateFace,
    DeleteFaces,
    BatchDeleteFaces,
    SearchFaces,
    DetectLive,
    DetectLiveFace,
    CreateToken,
    ListProjects,
    ListVersions,
    ShowVersion,
    ListAuthProjects,
    ListDomains,
    CheckToken,
    ServiceStatus,
}

impl Operation {
    /// Whether the vendor's identity service answers it, for which there is no project in the path.
    pub(super) fn is_of_identity(self) -> bool {
        matches!(
            self,
            Self::CreateToken
                | Self::ListProjects
                | Self::ListVersions
                | Self::ShowVersion
                | Self::ListAuthProjects
                | Self::ListDomains
                | Self::CheckToken
        )
    }
}

/// A row of the table, with the first path segments that it answers under: `{v}` in the path.
pub(super) type Row = adapter::Row<Operation, &'static [&'static str]>;

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter =
    adapter::Adapter { name: "huawei", mounts: &["v1", "v2", "v3"], operations: &INFOS, scale: super::scale::scale };

const FRS: &[&str] = &["v2", "v1"];
const IAM: &[&str] = &["v3"];

const fn row(
    operation: Operation,
    name: &'static str,
    method: &'static str,
    path: &'static str,
    versions: &'static [&'static str],
    state: State,
    needs: Grants,
) -> Row {
    Row { operation, info: adapter::Operation { name, method, path, state, needs }, extra: versions }
}

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

/// Every operation.
#[rustfmt::skip]
pub(super) const TABLE: [Row; 23] = [
    row(Operation::DetectFaces, "DetectFace", "POST", "/{v}/{project_id}/face-detect", FRS, SOME_ATTRIBUTES, needs::SEARCH),
    row(Operation::CompareFaces, "CompareFace", "POST", "/{v}/{project_id}/face-compare", FRS, State::Done, needs::SEARCH),
    row(Operation::CreateFaceSet, "CreateFaceSet", "POST", SETS, FRS, State::Done, needs::MANAGE),
    row(Operation::ListFaceSets, "ShowAllFaceSets", "GET", SETS, FRS, State::Done, needs::READ),
    row(Operation::ShowFaceSet, "ShowFaceSet", "GET", SET, FRS, State::Done, needs::READ),
    row(Operation::DeleteFaceSet, "DeleteFaceSet", "DELETE", SET, FRS, State::Done, needs::DELETE_SET),
    row(Operation::AddFaces, "AddFaces", "POST", FACES, FRS, State::Done, needs::ENROL),
    row(Operation::ListFaces, "ShowFaces", "GET", FACES, FRS, State::Done, needs::READ),
    row(Operation::UpdateFace, "UpdateFace", "PUT", FACES, FRS, State::Done, needs::ENROL),
    row(Operation::DeleteFaces, "DeleteFace", "DELETE", FACES, FRS, State::Done, needs::DELETE),
    row(Operation::BatchDeleteFaces, "BatchDeleteFaces", "DELETE", BATCH, FRS, State::Done, needs::DELETE),
    row(Operation::SearchFaces, "SearchFace", "POST", SEARCH, FRS, State::Done, needs::SEARCH),
    row(Operation::DetectLive, "DetectLive", "POST", "/{v}/{project_id}/live-detect", FRS, NEEDS_LANDMARKS, needs::SEARCH),
    row(Operation::DetectLiveFace, "DetectLiveFace", "POST", "/{v}/{project_id}/live-detect-face", FRS, NEEDS_LIVENESS, needs::SEARCH),
    row(Operation::CreateToken, "KeystoneCreateUserTokenByPassword", "POST", "/{v}/auth/tokens", IAM, KEYS_ARE_USERS, needs::NOTHING),
    row(Operation::CheckToken, "KeystoneValidateToken", "GET", "/{v}/auth/tokens", IAM, State::Done, needs::NOTHING),
    row(Operation::ListAuthProjects, "KeystoneListAuthProjects", "GET", "/{v}/auth/projects", IAM, State::Done, needs::NOTHING),
    row(Operation::ListDomains, "KeystoneListAuthDomains", "GET", "/{v}/auth/domains", IAM, State::Done, needs::NOTHING),
    row(Operation::ListVersions, "KeystoneListVersions", "GET", "/", IAM, State::Done, needs::NOTHING),
    row(Operation::ShowVersion, "KeystoneShowVersion", "GET", "/{v}", IAM, State::Done, needs::NOTHING),
    row(Operation::ListProjects, "KeystoneListProjects", "GET", "/{v}/projects", IAM, State::Done, needs::NOTHING),
    row(Operation::ServiceStatus, "ShowSubscription", "GET", STATUS, &["v1"], State::Done, needs::NOTHING),
    row(Operation::ServiceStatus, "CreateSubscription", "POST", STATUS, &["v1"], State::Done, needs::NOTHING),
];

const INFOS: [adapter::Operation; TABLE.len()] = adapter::infos(&TABLE, &[]);

/// A request's place in the table.
pub(super) struct Route {
    pub(super) operation: Operation,
    pub(super) info: &'static adapter::Operation,
    pub(super) project_id: String,
    pub(super) face_set_name: String,
}

/// Finds the operation of a method and raw path.
pub(super) fn find(method: &http::Method, raw_path: &str) -> Option<Route> {
    let segments = crate::http::target::segments(raw_path)?;
    TABLE.iter().find_map(|row| {
        let mut route = Route {
            operation: row.operation,
            info: &row.info,
            project_id: String::new(),
            face_set_name: String::new(),
        };
        let pattern = row.info.path.split('/').skip(1);
        let fits = row.info.method == method.as_str()
            && pattern.clone().count() == segments.len()
            && pattern.zip(&segments).all(|(wanted, segment)| match wanted {
                "{v}" => row.extra.contains(&segment.as_str()),
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
