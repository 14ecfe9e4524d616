//! Every call of the vendor's reference: the table that routes and that tells what is done.

use likeness_domain::access::Grants;

use crate::adapter::{self, State, needs};

/// A call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Create,
    Free,
    GroupList,
    GroupInfo,
    Add,
    Delete,
    List,
    FaceInfo,
    Search,
}

/// Every call with its row for the table of all dialects.
#[rustfmt::skip]
pub(super) const TABLE: [(Operation, adapter::Operation); 9] = [
    (Operation::Create, row("create", "/finauth/search/group/create", needs::MANAGE)),
    (Operation::Free, row("free", "/finauth/search/group/free", needs::DELETE_SET)),
    (Operation::GroupList, row("group_list", "/finauth/search/group/group_list", needs::READ)),
    (Operation::GroupInfo, row("group_info", "/finauth/search/group/group_info", needs::READ)),
    (Operation::Add, row("add", "/finauth/search/group/add", needs::ENROL)),
    (Operation::Delete, row("delete", "/finauth/search/group/delete", needs::DELETE)),
    (Operation::List, row("list", "/finauth/search/group/list", needs::READ)),
    (Operation::FaceInfo, row("face_info", "/finauth/search/group/face_info", needs::READ)),
    (Operation::Search, row("search", "/finauth/search/group/search", needs::SEARCH)),
];

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter = adapter::Adapter { name: "yuanli", mounts: &["finauth"], operations: &INFOS };

const fn row(name: &'static str, path: &'static str, needs: Grants) -> adapter::Operation {
    adapter::Operation { name, method: "POST", path, state: State::Done, needs }
}

const INFOS: [adapter::Operation; TABLE.len()] = adapter::rows(&TABLE, &[]);

/// The row of a call.
pub(super) fn info(call: Operation) -> &'static adapter::Operation {
    adapter::info(&TABLE, call)
}

/// The call of a method and raw path; a slash at the end changes nothing.
pub(super) fn find(method: &http::Method, raw_path: &str) -> Option<Operation> {
    adapter::find(&TABLE, method, raw_path)
}
