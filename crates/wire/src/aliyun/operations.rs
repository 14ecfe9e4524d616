//! Every operation of the vendor's reference: the table for routing, with how far each is done.

use crate::adapter::{self, State, needs};

/// A row of the table, with the calls (for scans: images) per second of one account that the vendor allows, or that fit
/// its habits where it is silent.
pub(super) type Row = adapter::Row<Operation, u32>;

const SCENES: State = State::Partly("the scenes sface-1 and sface-n only");
const SOME_ATTRIBUTES: State =
    State::Partly("location, quality, head angles, smile; no glasses, mask, hat, beard, hair");
const UPLOADS: State = State::Partly("596 unless `aliyun.upload_endpoint` is set");

adapter::operations! {
    $ Row = Row;
    AddPerson: "AddPerson", "POST" "/green/sface/person/add", State::Done, needs::ENROL, 20 => add_person;
    SetPerson: "SetPerson", "POST" "/green/sface/person/update", State::Done, needs::ENROL, 20 => set_person;
    GetPerson: "GetPerson", "POST" "/green/sface/person", State::Done, needs::READ, 20 => get_person;
    DeletePerson: "DeletePerson", "POST" "/green/sface/person/delete", State::Done, needs::DELETE, 20 => delete_person;
    AddFaces: "AddFaces", "POST" "/green/sface/face/add", State::Done, needs::ENROL, 20 => add_faces;
    DeleteFaces: "DeleteFaces", "POST" "/green/sface/face/delete", State::Done, needs::DELETE, 20 => delete_faces;
    GetFaces: "GetFaces", "POST" "/green/sface/faces", State::Done, needs::READ, 20 => get_faces;
    GetGroups: "GetGroups", "POST" "/green/sface/groups", State::Done, needs::READ, 20 => get_groups;
    GetPersons: "GetPersons", "POST" "/green/sface/group/persons", State::Done, needs::READ, 20 => get_persons;
    AddGroups: "AddGroups", "POST" "/green/sface/person/groups/add", State::Done, needs::ENROL, 10 => add_groups;
    DeleteGroups: "DeleteGroups", "POST" "/green/sface/person/groups/delete", State::Done, needs::DELETE, 10 => delete_groups;
    ImageSyncScan: "ImageSyncScan", "POST" "/green/image/scan", SCENES, needs::SEARCH, 50 => image_scan;
    ImageAsyncScan: "ImageAsyncScan", "POST" "/green/image/asyncscan", SCENES, needs::SEARCH, 50 => image_async_scan;
    ImageAsyncScanResults: "ImageAsyncScanResults", "POST" "/green/image/results", State::Done, needs::SEARCH, 50 => image_results;
    DetectFace: "DetectFace", "POST" "/green/face/detect", SOME_ATTRIBUTES, needs::SEARCH, 50 => detect_face;
    UploadCredentials: "UploadCredentials", "POST" "/green/credentials/uploadcredentials", UPLOADS, needs::SEARCH, 20
        => upload_credentials;
    SearchPerson: "SearchPerson", "POST" "/green/sface/search", State::Done, needs::SEARCH, 50 => search_person;
}

/// The only bucket, and the first segment of its path.
pub(crate) const BUCKET: &str = "likeness-uploads";

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter =
    adapter::Adapter { name: "aliyun", mounts: &["green", BUCKET], operations: INFOS, scale: super::scale::scale };

/// The row of a path. The oldest client has another path for one of them.
pub(super) fn find(raw_path: &str) -> Option<&'static Row> {
    let is_old_path = raw_path.strip_suffix('/').unwrap_or(raw_path) == "/green/sface/getFaces";
    adapter::find(&TABLE, if is_old_path { "/green/sface/faces" } else { raw_path })
}
