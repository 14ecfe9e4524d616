//! Every call of the vendor's reference that has to do with faces: the table for routing,
//! with how far each is done.

use likeness_domain::access::Grants;

use crate::adapter::{self, Row, State, needs};

/// A call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Detect,
    Compare,
    Search,
    CreateSet,
    AddFace,
    RemoveFace,
    UpdateSet,
    SetDetail,
    DeleteSet,
    ListSets,
    FaceDetail,
    SetUserId,
    AddFaceLater,
    RemoveFaceLater,
    TaskStatus,
}

/// Why two calls are not quite what they are there.
const DETECT_PARTLY: &str =
    "landmarks and attributes only as far as measured: no 83 or 106 points, no beauty, skin, gaze, mouth or ethnicity";

/// Every call with its row for the table of all dialects.
#[rustfmt::skip]
pub(super) const TABLE: [Row<Operation>; 15] = [
    row(Operation::Detect, "detect", "/facepp/v3/detect", State::Partly(DETECT_PARTLY), needs::SEARCH),
    row(Operation::Compare, "compare", "/facepp/v3/compare", State::Done, needs::SEARCH),
    row(Operation::Search, "search", "/facepp/v3/search", State::Done, needs::SEARCH),
    row(Operation::CreateSet, "faceset/create", "/facepp/v3/faceset/create", State::Done, needs::MANAGE),
    row(Operation::AddFace, "faceset/addface", "/facepp/v3/faceset/addface", State::Done, needs::ENROL),
    row(Operation::RemoveFace, "faceset/removeface", "/facepp/v3/faceset/removeface", State::Done, needs::DELETE),
    row(Operation::UpdateSet, "faceset/update", "/facepp/v3/faceset/update", State::Done, needs::MANAGE),
    row(Operation::SetDetail, "faceset/getdetail", "/facepp/v3/faceset/getdetail", State::Done, needs::READ),
    row(Operation::DeleteSet, "faceset/delete", "/facepp/v3/faceset/delete", State::Done, needs::DELETE_SET),
    row(Operation::ListSets, "faceset/getfacesets", "/facepp/v3/faceset/getfacesets", State::Done, needs::READ),
    row(Operation::FaceDetail, "face/getdetail", "/facepp/v3/face/getdetail", State::Done, needs::READ),
    row(Operation::SetUserId, "face/setuserid", "/facepp/v3/face/setuserid", State::Done, needs::ENROL),
    row(Operation::AddFaceLater, "faceset/async/addface", "/facepp/v3/faceset/async/addface", State::Done, needs::ENROL),
    row(Operation::RemoveFaceLater, "faceset/async/removeface", "/facepp/v3/faceset/async/removeface", State::Done, needs::DELETE),
    row(Operation::TaskStatus, "faceset/async/task_status", "/facepp/v3/faceset/async/task_status", State::Done, needs::NOTHING),
];

/// Calls that have something to do with faces and are not offered.
const REFUSED: [adapter::Operation; 1] = [adapter::Operation {
    name: "face/analyze",
    method: "POST",
    path: "/facepp/v3/face/analyze",
    state: State::Refused("API_NOT_FOUND"),
    needs: needs::SEARCH,
}];

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter =
    adapter::Adapter { name: "facepp", mounts: &["facepp"], operations: &INFOS, scale: super::scale::scale };

const fn row(
    operation: Operation,
    name: &'static str,
    path: &'static str,
    state: State,
    needs: Grants,
) -> Row<Operation> {
    Row { operation, info: adapter::Operation { name, method: "POST", path, state, needs }, extra: () }
}

const INFOS: [adapter::Operation; TABLE.len() + REFUSED.len()] = adapter::infos(&TABLE, &REFUSED);
