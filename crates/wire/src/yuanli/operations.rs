//! Every call of the vendor's reference: the table for routing.

use crate::adapter::{self, Row, State, needs};

adapter::operations! {
    $ Row = Row<Operation>;
    Create: "create", "POST" "/finauth/search/group/create", State::Done, needs::MANAGE => create;
    Free: "free", "POST" "/finauth/search/group/free", State::Done, needs::DELETE_SET => free;
    GroupList: "group_list", "POST" "/finauth/search/group/group_list", State::Done, needs::READ => group_list;
    GroupInfo: "group_info", "POST" "/finauth/search/group/group_info", State::Done, needs::READ => group_info;
    Add: "add", "POST" "/finauth/search/group/add", State::Done, needs::ENROL => add;
    Delete: "delete", "POST" "/finauth/search/group/delete", State::Done, needs::DELETE => delete;
    List: "list", "POST" "/finauth/search/group/list", State::Done, needs::READ => list;
    FaceInfo: "face_info", "POST" "/finauth/search/group/face_info", State::Done, needs::READ => face_info;
    Search: "search", "POST" "/finauth/search/group/search", State::Done, needs::SEARCH => search;
}

/// This dialect, for [`crate::ADAPTERS`].
pub const ADAPTER: adapter::Adapter =
    adapter::Adapter { name: "yuanli", mounts: &["finauth"], operations: INFOS, scale: super::scale::scale };
