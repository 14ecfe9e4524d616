//! Every call of the vendor's reference that has to do with faces: the table that routes and that tells what is done.

use crate::adapter::{self, State};

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
pub(super) const TABLE: [(Operation, adapter::Operation); 15] = [
    (Operation::Detect, row("detect", "/facepp/v3/detect", State::Partly(DETECT_PARTLY))),
    (Operation::Compare, row("compare", "/facepp/v3/compare", State::Done)),
    (Operation::Search, row("search", "/facepp/v3/search", State::Done)),
    (Operation::CreateSet, row("faceset/create", "/facepp/v3/faceset/create", State::Done)),
    (Operation::AddFace, row("faceset/addface", "/facepp/v3/faceset/addface", State::Done)),
    (Operation::RemoveFace, row("faceset/removeface", "/facepp/v3/faceset/removeface", State::Done)),
    (Operation::UpdateSet, row("faceset/update", "/facepp/v3/faceset/update", State::Done)),
    (Operation::SetDetail, row("faceset/getdetail", "/facepp/v3/faceset/getdetail", State::Done)),
    (Operation::DeleteSet, row("faceset/delete", "/facepp/v3/faceset/delete", State::Done)),
    (Operation::ListSets, row("faceset/getfacesets", "/facepp/v3/faceset/getfacesets", State::Done)),
    (Operation::FaceDetail, row("face/getdetail", "/facepp/v3/face/getdetail", State::Done)),
    (Operation::SetUserId, row("face/setuserid", "/facepp/v3/face/setuserid", State::Done)),
    (Operation::AddFaceLater, row("faceset/async/addface", "/facepp/v3/faceset/async/addface", State::Done)),
    (Operation::RemoveFaceLater, row("faceset/async/removeface", "/facepp/v3/faceset/async/removeface", State::Done)),
    (Operation::TaskStatus, row("faceset/async/task_status", "/facepp/v3/faceset/async/task_status", State::Done)),
];

/// Calls that have something to do with faces and are not offered.
const REFUSED: [adapter::Operation; 1] =
    [row("face/analyze", "/facepp/v3/face/analyze", State::Refused("API_NOT_FOUND"))];

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter = adapter::Adapter { name: "facepp", mounts: &["facepp"], operations: &INFOS };

const fn row(name: &'static str, path: &'static str, state: State) -> adapter::Operation {
    adapter::Operation { name, method: "POST", path, state }
}

const INFOS: [adapter::Operation; TABLE.len() + REFUSED.len()] = adapter::rows(&TABLE, &REFUSED);

/// The call of a method and raw path; a slash at the end changes nothing.
pub(super) fn find(method: &http::Method, raw_path: &str) -> Option<Operation> {
    adapter::find(&TABLE, method, raw_path)
}
