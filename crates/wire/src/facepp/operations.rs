//! Every call of the vendor's reference that has to do with faces: the table that routes and that tells what is done.

use likeness_domain::access::Grants;

use crate::adapter::{self, State, needs};

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
    (Operation::Detect, row("detect", "/facepp/v3/detect", State::Partly(DETECT_PARTLY), needs::SEARCH)),
    (Operation::Compare, row("compare", "/facepp/v3/compare", State::Done, needs::SEARCH)),
    (Operation::Search, row("search", "/facepp/v3/search", State::Done, needs::SEARCH)),
    (Operation::CreateSet, row("faceset/create", "/facepp/v3/faceset/create", State::Done, needs::MANAGE)),
    (Operation::AddFace, row("faceset/addface", "/facepp/v3/faceset/addface", State::Done, needs::ENROL)),
    (Operation::RemoveFace, row("faceset/removeface", "/facepp/v3/faceset/removeface", State::Done, needs::DELETE)),
    (Operation::UpdateSet, row("faceset/update", "/facepp/v3/faceset/update", State::Done, needs::MANAGE)),
    (Operation::SetDetail, row("faceset/getdetail", "/facepp/v3/faceset/getdetail", State::Done, needs::READ)),
    (Operation::DeleteSet, row("faceset/delete", "/facepp/v3/faceset/delete", State::Done, needs::DELETE_SET)),
    (Operation::ListSets, row("faceset/getfacesets", "/facepp/v3/faceset/getfacesets", State::Done, needs::READ)),
    (Operation::FaceDetail, row("face/getdetail", "/facepp/v3/face/getdetail", State::Done, needs::READ)),
    (Operation::SetUserId, row("face/setuserid", "/facepp/v3/face/setuserid", State::Done, needs::ENROL)),
    (Operation::AddFaceLater, row("faceset/async/addface", "/facepp/v3/faceset/async/addface", State::Done, needs::ENROL)),
    (Operation::RemoveFaceLater, row("faceset/async/removeface", "/facepp/v3/faceset/async/removeface", State::Done, needs::DELETE)),
    (Operation::TaskStatus, row("faceset/async/task_status", "/facepp/v3/faceset/async/task_status", State::Done, needs::NOTHING)),
];

/// Calls that have something to do with faces and are not offered.
const REFUSED: [adapter::Operation; 1] =
    [row("face/analyze", "/facepp/v3/face/analyze", State::Refused("API_NOT_FOUND"), needs::SEARCH)];

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter = adapter::Adapter { name: "facepp", mounts: &["facepp"], operations: &INFOS };

const fn row(name: &'static str, path: &'static str, state: State, needs: Grants) -> adapter::Operation {
    adapter::Operation { name, method: "POST", path, state, needs }
}

const INFOS: [adapter::Operation; TABLE.len() + REFUSED.len()] = adapter::rows(&TABLE, &REFUSED);

/// The row of a call.
pub(super) fn info(call: Operation) -> &'static adapter::Operation {
    adapter::info(&TABLE, call)
}

/// The call of a method and raw path; a slash at the end changes nothing.
pub(super) fn find(method: &http::Method, raw_path: &str) -> Option<Operation> {
    adapter::find(&TABLE, method, raw_path)
}
