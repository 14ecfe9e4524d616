//! Pictures uploaded before the call that names them, for clients whose calls cannot carry an image.

use std::time::Duration;

use bytes::Bytes;

use super::Library;
use crate::access::{Caller, Grant};
use crate::error::shortened;
use crate::ports::{NewUpload, UploadQuota};
use crate::types::{TimestampMs, UploadName, require_path_segment};
use crate::{Error, Kind, Result, limits};

/// See [`Library::put_upload`].
#[derive(Clone)]
pub struct PutUpload {
    /// Under which name; another picture of that name is replaced.
    pub name: UploadName,
    /// The file.
    pub bytes: Bytes,
    /// For how long it can be named, at most [`limits::UPLOAD_LIFETIME_MAX`].
    pub lifetime: Duration,
    /// How much of the tenant may be kept.
    pub room: UploadQuota,
}

impl Library {
    /// The same under a random name, which is returned with the time at which the picture is forgotten.
    pub async fn put_unnamed_upload(
        &self,
        caller: &Caller,
        bytes: Bytes,
        lifetime: Duration,
        room: UploadQuota,
    ) -> Result<(UploadName, TimestampMs)> {
        let mut bits = [0; 16];
        self.ports.ids.fill(&mut bits);
        let name = UploadName::new(format!("{:032x}", u128::from_be_bytes(bits)))?;
        let ends_at = self.ports.clock.now().0.saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        self.put_upload(caller, PutUpload { name: name.clone(), bytes, lifetime, room }).await?;
        Ok((name, TimestampMs(ends_at)))
    }

    /// Keeps a picture for a short time, to be named by [`super::ImageSource::Upload`]. What it shows is looked at only
    /// then. Needs the search grant. `ImageTooLarge`, `InvalidArgument` for too long a lifetime, `Overloaded` when the
    /// tenant's room is full.
    pub async fn put_upload(&self, caller: &Caller, request: PutUpload) -> Result<()> {
        caller.require(Grant::Search)?;
        if request.lifetime > limits::UPLOAD_LIFETIME_MAX {
            let (given, most) = (request.lifetime.as_secs(), limits::UPLOAD_LIFETIME_MAX.as_secs());
            return Err(Error::invalid("lifetime", format!("`lifetime` is {given} s, expected at most {most} s")));
        }
        require_path_segment("picture name", request.name.as_str())?;
        super::check_bytes(&request.bytes, limits::IMAGE_BYTES_MAX)?;
        let now = self.ports.clock.now();
        let lifetime_ms = i64::try_from(request.lifetime.as_millis()).unwrap_or(i64::MAX);
        let expires_at = TimestampMs(now.0.saturating_add(lifetime_ms));
        let picture = NewUpload { name: request.name, bytes: request.bytes, expires_at };
        self.ports.pictures.put_upload(caller.tenant, picture, request.room, now).await
    }

    /// Erases a picture that is needed no more, before its time; one that is not there is fine.
    pub async fn erase_upload(&self, caller: &Caller, name: UploadName) -> Result<()> {
        caller.require_any()?;
        self.ports.pictures.erase_upload(caller.tenant, name).await
    }

    /// A picture of the caller's tenant.
    pub(super) async fn upload(&self, caller: &Caller, name: &UploadName) -> Result<Bytes> {
        let found = self.ports.pictures.picture(caller.tenant, name.clone(), self.ports.clock.now()).await?;
        found.ok_or_else(|| {
            let message = format!(
                "`upload` is `{}`, expected the name of an upload whose time is not over",
                shortened(name.as_str())
            );
            Error::new(Kind::UploadNotFound, message).with_field("upload")
        })
    }
}
