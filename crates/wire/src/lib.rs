//! The HTTP dialects: one folder for each vendor, which translates its requests and answers to the library's
//! terms and back.
//!
//! This crate must never know a store, a model or a pixel, and no dialect knows another. Start at [`router`];
//! [`ADAPTERS`] lists the dialects.

pub mod adapter;
pub mod aliyun;
pub mod facepp;
pub mod http;
pub mod huawei;
mod megvii;
pub mod native;
mod readiness;
mod router;
mod services;
#[cfg(test)]
mod tests;
pub mod yuanli;

pub use adapter::{Adapter, Operation, State};
pub use readiness::{PartHealth, PartState, Readiness, ReadyCheck, always_ready};
pub use router::{ADAPTERS, operations_router, router, workers};
pub use services::{Services, Settings, Worker};

/// Entries for fuzzing: whatever the bytes, they return.
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz {
    pub use crate::aliyun::{
        fuzz_acs3 as aliyun_acs3, fuzz_client_info as aliyun_client_info, fuzz_signature as aliyun_signature,
        fuzz_upload as aliyun_upload,
    };
    pub use crate::http::sealed::fuzz_token as token;
    pub use crate::huawei::{fuzz_keystone as keystone, fuzz_python as python, fuzz_signature as huawei_signature};
    pub use crate::megvii::fields::fuzz::fuzz_fields as fields;
    pub use crate::native::{
        fuzz_archive as archive, fuzz_archived_face as archived_face, fuzz_body as native_body,
        fuzz_head as native_head,
    };
    pub use crate::yuanli::fuzz_sign as yuanli_sign;
}
