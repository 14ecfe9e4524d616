//! Every call of the vendor's reference: the table for routing.

use crate::adapter::{self, Row, State, needs};

adapter::operations! {
    Row = Row<Operation>;
    Create: "create", "POST" "/finauth/search/group/create", State::Done, needs::MANAGE;
    Free: "free", "POST" "/finauth/search/group/free", State::Done, needs::DELETE_SET;
    GroupList: "group_list", "POST" "/finauth/search/group/group_list", State::Done, needs::READ;
    GroupInfo: "group_info", "POST" "/finauth/search/group/group_info", State::Done, needs::READ;
    Add: "add", "POST" "/finauth/search/group/add", State::Done, needs::ENROL;
    Delete: "delete", "POST" "/finauth/search/group/delete", State::Done, needs::DELETE;
    List: "list", "POST" "/finauth/search/group/list", State::Done, needs::READ;
    FaceInfo: "face_info", "POST" "/finauth/search/group/face_info", State::Done, needs::READ;
    Search: "search", "POST" "/finauth/search/group/search", State::Done, needs::SEARCH;
}

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter =
    adapter::Adapter { name: "yuanli", mounts: &["finauth"], operations: INFOS, scale: super::scale::scale };
