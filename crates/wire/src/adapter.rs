//! What each dialect offers, as data.

/// A dialect: where it is mounted and what it can do.
#[derive(Debug, Clone, Copy)]
pub struct Adapter {
    /// Its name, also in the log.
    pub name: &'static str,
    /// First path segments that belong to it.
    pub mounts: &'static [&'static str],
    /// Everything in the vendor's reference, done or not.
    pub operations: &'static [Operation],
}

/// An operation of a vendor's reference.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// The vendor's name for it.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path with `{arguments}`.
    pub path: &'static str,
    /// How far it is done.
    pub state: State,
}

/// How far an operation is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Answers as the vendor does.
    Done,
    /// Answers, with the named difference.
    Partly(&'static str),
    /// Answers the vendor's own error with this code.
    Refused(&'static str),
}

/// Every dialect with vendor clients, in the order of their mounting.
pub const ADAPTERS: &[Adapter] =
    &[crate::huawei::ADAPTER, crate::aliyun::ADAPTER, crate::yuanli::ADAPTER, crate::facepp::ADAPTER];
