//! Every operation of the vendor's reference: the table for routing, with how far each is done.

use likeness_domain::access::Grants;

use crate::adapter::{self, State, needs};

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    AddPerson,
    SetPerson,
    GetPerson,
    DeletePerson,
    AddFaces,
    DeleteFaces,
    GetFaces,
    GetGroups,
    GetPersons,
    AddGroups,
    DeleteGroups,
    ImageSyncScan,
    ImageAsyncScan,
    ImageAsyncScanResults,
    DetectFace,
    UploadCredentials,
    SearchPerson,
}

/// A row of the table, with the calls (for scans: images) per second of one account that the vendor allows, or that fit
/// its habits where it is silent.
pub(super) type Row = adapter::Row<Operation, u32>;

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter = adapter::Adapter {
    name: "aliyun",
    mounts: &["green", super::BUCKET],
    operations: &INFOS,
    scale: super::scale::scale,
};

const fn row(
    operation: Operation,
    name: &'static str,
    path: &'static str,
    calls_per_second: u32,
    state: State,
    needs: Grants,
) -> Row {
    Row { operation, info: adapter::Operation { name, method: "POST", path, state, needs }, extra: calls_per_second }
}

const SCENES: State = State::Partly("the scenes sface-1 and sface-n only");
const SOME_ATTRIBUTES: State =
    State::Partly("location, quality, head angles, smile; no glasses, mask, hat, beard, hair");
const UPLOADS: State = State::Partly("596 unless `aliyun.upload_endpoint` is set");

/// Every operation.
#[rustfmt::skip]
pub(super) const TABLE: [Row; 17] = [
    row(Operation::AddPerson, "AddPerson", "/green/sface/person/add", 20, State::Done, needs::ENROL),
    row(Operation::SetPerson, "SetPerson", "/green/sface/person/update", 20, State::Done, needs::ENROL),
    row(Operation::GetPerson, "GetPerson", "/green/sface/person", 20, State::Done, needs::READ),
    row(Operation::DeletePerson, "DeletePerson", "/green/sface/person/delete", 20, State::Done, needs::DELETE),
    row(Operation::AddFaces, "AddFaces", "/green/sface/face/add", 20, State::Done, needs::ENROL),
    row(Operation::DeleteFaces, "DeleteFaces", "/green/sface/face/delete", 20, State::Done, needs::DELETE),
    row(Operation::GetFaces, "GetFaces", "/green/sface/faces", 20, State::Done, needs::READ),
    row(Operation::GetGroups, "GetGroups", "/green/sface/groups", 20, State::Done, needs::READ),
    row(Operation::GetPersons, "GetPersons", "/green/sface/group/persons", 20, State::Done, needs::READ),
    row(Operation::AddGroups, "AddGroups", "/green/sface/person/groups/add", 10, State::Done, needs::ENROL),
    row(Operation::DeleteGroups, "DeleteGroups", "/green/sface/person/groups/delete", 10, State::Done, needs::DELETE),
    row(Operation::ImageSyncScan, "ImageSyncScan", "/green/image/scan", 50, SCENES, needs::SEARCH),
    row(Operation::ImageAsyncScan, "ImageAsyncScan", "/green/image/asyncscan", 50, SCENES, needs::SEARCH),
    row(Operation::ImageAsyncScanResults, "ImageAsyncScanResults", "/green/image/results", 50, State::Done, needs::SEARCH),
    row(Operation::DetectFace, "DetectFace", "/green/face/detect", 50, SOME_ATTRIBUTES, needs::SEARCH),
    row(Operation::UploadCredentials, "UploadCredentials", "/green/credentials/uploadcredentials", 20, UPLOADS, needs::SEARCH),
    row(Operation::SearchPerson, "SearchPerson", "/green/sface/search", 50, State::Done, needs::SEARCH),
];

/// The row of a path. The oldest client has another path for one of them.
pub(super) fn find(raw_path: &str) -> Option<&'static Row> {
    let is_old_path = raw_path.strip_suffix('/').unwrap_or(raw_path) == "/green/sface/getFaces";
    adapter::find(&TABLE, if is_old_path { "/green/sface/faces" } else { raw_path })
}

const INFOS: [adapter::Operation; TABLE.len()] = adapter::infos(&TABLE, &[]);
