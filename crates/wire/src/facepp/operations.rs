//! Every call of the vendor's reference that has to do with faces: the table for routing, with how far each is done.

use crate::adapter::{self, Row, State, needs};

const DETECT: State = State::Partly(
    "landmarks and attributes only as far as measured: no 83 or 106 points, no beauty, skin, gaze, mouth or ethnicity",
);

adapter::operations! {
    Row = Row<Operation>;
    Detect: "detect", "POST" "/facepp/v3/detect", DETECT, needs::SEARCH;
    Compare: "compare", "POST" "/facepp/v3/compare", State::Done, needs::SEARCH;
    Search: "search", "POST" "/facepp/v3/search", State::Done, needs::SEARCH;
    CreateSet: "faceset/create", "POST" "/facepp/v3/faceset/create", State::Done, needs::MANAGE;
    AddFace: "faceset/addface", "POST" "/facepp/v3/faceset/addface", State::Done, needs::ENROL;
    RemoveFace: "faceset/removeface", "POST" "/facepp/v3/faceset/removeface", State::Done, needs::DELETE;
    UpdateSet: "faceset/update", "POST" "/facepp/v3/faceset/update", State::Done, needs::MANAGE;
    SetDetail: "faceset/getdetail", "POST" "/facepp/v3/faceset/getdetail", State::Done, needs::READ;
    DeleteSet: "faceset/delete", "POST" "/facepp/v3/faceset/delete", State::Done, needs::DELETE_SET;
    ListSets: "faceset/getfacesets", "POST" "/facepp/v3/faceset/getfacesets", State::Done, needs::READ;
    FaceDetail: "face/getdetail", "POST" "/facepp/v3/face/getdetail", State::Done, needs::READ;
    SetUserId: "face/setuserid", "POST" "/facepp/v3/face/setuserid", State::Done, needs::ENROL;
    AddFaceLater: "faceset/async/addface", "POST" "/facepp/v3/faceset/async/addface", State::Done, needs::ENROL;
    RemoveFaceLater: "faceset/async/removeface", "POST" "/facepp/v3/faceset/async/removeface", State::Done, needs::DELETE;
    TaskStatus: "faceset/async/task_status", "POST" "/facepp/v3/faceset/async/task_status", State::Done, needs::NOTHING;
    [refused] "face/analyze", "POST" "/facepp/v3/face/analyze", "API_NOT_FOUND", needs::SEARCH;
}

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter =
    adapter::Adapter { name: "facepp", mounts: &["facepp"], operations: INFOS, scale: super::scale::scale };
