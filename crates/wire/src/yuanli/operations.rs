//! Every call of the vendor's reference: the table for routing.

use likeness_domain::access::Grants;

use crate::adapter::{self, Row, State, needs};

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
pub(super) const TABLE: [Row<Operation>; 9] = [
    row(Operation::Create, "create", "/finauth/search/group/create", needs::MANAGE),
    row(Operation::Free, "free", "/finauth/search/group/free", needs::DELETE_SET),
    row(Operation::GroupList, "group_list", "/finauth/search/group/group_list", needs::READ),
    row(Operation::GroupInfo, "group_info", "/finauth/search/group/group_info", needs::READ),
    row(Operation::Add, "add", "/finauth/search/group/add", needs::ENROL),
    row(Operation::Delete, "delete", "/finauth/search/group/delete", needs::DELETE),
    row(Operation::List, "list", "/finauth/search/group/list", needs::READ),
    row(Operation::FaceInfo, "face_info", "/finauth/search/group/face_info", needs::READ),
    row(Operation::Search, "search", "/finauth/search/group/search", needs::SEARCH),
];

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter =
    adapter::Adapter { name: "yuanli", mounts: &["finauth"], operations: &INFOS, scale: super::scale::scale };

const fn row(operation: Operation, name: &'static str, path: &'static str, needs: Grants) -> Row<Operation> {
    Row { operation, info: adapter::Operation { name, method: "POST", path, state: State::Done, needs }, extra: () }
}

const INFOS: [adapter::Operation; TABLE.len()] = adapter::infos(&TABLE, &[]);
