//! What the services of one family share: Face++ (Megvii) and Yuanli, whose interface descends from it.
//!
//! Every call is a form that is posted, and every answer in JSON has an id and a duration beside its own members, of
//! which a refusal has but one, a code. The dialects keep what differs: calls, authentication, codes of their own,
//! scales, settings.
//!
//! Start at [`service`]; [`errors`] has the codes of the whole family.

pub(crate) mod convert;
pub(crate) mod dto;
pub(crate) mod errors;
pub(crate) mod fields;
pub(crate) mod picture;
pub(crate) mod service;
#[cfg(test)]
pub(crate) mod tests;
