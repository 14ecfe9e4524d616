//! Every call of the vendor's reference that has to do with faces: the table for routing, with how far each is done.

use crate::adapter::{self, Row, State, needs};

const DETECT: State = State::Partly(
    "landmarks and attributes only as far as measured: no 83 or 106 points, no beauty, skin, gaze, mouth or ethnicity",
);

adapter::operations! {
    $ Row = Row<Operation>;
    Detect: "detect", "POST" "/facepp/v3/detect", DETECT, needs::SEARCH => faces::detect;
    Compare: "compare", "POST" "/facepp/v3/compare", State::Done, needs::SEARCH => faces::compare;
    Search: "search", "POST" "/facepp/v3/search", State::Done, needs::SEARCH => faces::search;
    CreateSet: "faceset/create", "POST" "/facepp/v3/faceset/create", State::Done, needs::MANAGE => face_sets::create;
    AddFace: "faceset/addface", "POST" "/facepp/v3/faceset/addface", State::Done, needs::ENROL => face_sets::add_faces;
    RemoveFace: "faceset/removeface", "POST" "/facepp/v3/faceset/removeface", State::Done, needs::DELETE => face_sets::remove_faces;
    UpdateSet: "faceset/update", "POST" "/facepp/v3/faceset/update", State::Done, needs::MANAGE => face_sets::update;
    SetDetail: "faceset/getdetail", "POST" "/facepp/v3/faceset/getdetail", State::Done, needs::READ => face_sets::detail;
    DeleteSet: "faceset/delete", "POST" "/facepp/v3/faceset/delete", State::Done, needs::DELETE_SET => face_sets::delete;
    ListSets: "faceset/getfacesets", "POST" "/facepp/v3/faceset/getfacesets", State::Done, needs::READ => face_sets::list;
    FaceDetail: "face/getdetail", "POST" "/facepp/v3/face/getdetail", State::Done, needs::READ => faces::detail;
    SetUserId: "face/setuserid", "POST" "/facepp/v3/face/setuserid", State::Done, needs::ENROL => faces::set_user_id;
    AddFaceLater: "faceset/async/addface", "POST" "/facepp/v3/faceset/async/addface", State::Done, needs::ENROL
        => tasks::accept(Act::Add);
    RemoveFaceLater: "faceset/async/removeface", "POST" "/facepp/v3/faceset/async/removeface", State::Done, needs::DELETE
        => tasks::accept(Act::Remove);
    TaskStatus: "faceset/async/task_status", "POST" "/facepp/v3/faceset/async/task_status", State::Done, needs::NOTHING
        => tasks::status;
    [refused] "face/analyze", "POST" "/facepp/v3/face/analyze", "API_NOT_FOUND", needs::SEARCH;
}

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter =
    adapter::Adapter { name: "facepp", mounts: &["facepp"], operations: INFOS, scale: super::scale::scale };
