//! Images of a request: as base64 text, as a file, by address or by object storage path.

use std::time::Duration;

use bytes::Bytes;
use likeness_domain::library::{ImageInput, ImageSource};
use likeness_domain::ports::{Count, ImageFormats, ImageRules};

use super::errors::{Failure, Origin, code};
use super::params::Params;
use super::settings::Settings;
use crate::http::base64_text;

/// The image of a request and where it came from.
pub(super) struct Picture {
    pub(super) input: ImageInput,
    pub(super) origin: Origin,
    /// Bytes as sent (base64 text or file), for limits on several images together.
    pub(super) n_bytes_sent: usize,
}

/// The image named `{name}_base64`, `{name}_file` or `{name}_url`; of several the first in this order.
pub(super) fn find(params: &Params, name: &str, settings: &Settings) -> Result<Option<Picture>, Failure> {
    let picture = |source, origin, n_bytes_sent| Picture { input: input(source, settings), origin, n_bytes_sent };
    let member = format!("{name}_base64");
    if let Some(text) = params.text(&member)? {
        check_size(&member, text.len(), settings)?;
        let Some(bytes) = base64_text::decode(text) else {
            return Err(Failure::service(code::FRS_0015, format!("`{member}` is not base64")));
        };
        return Ok(Some(picture(ImageSource::Bytes(bytes), Origin::Inline, text.len())));
    }
    let member = format!("{name}_file");
    if let Some(bytes) = params.file(&member) {
        check_size(&member, bytes.len(), settings)?;
        return Ok(Some(picture(ImageSource::Bytes(Bytes::clone(bytes)), Origin::Inline, bytes.len())));
    }
    let member = format!("{name}_url");
    if let Some(url) = params.text(&member)? {
        let (url, origin) = address(url.trim(), &member, settings)?;
        return Ok(Some(picture(ImageSource::Url(url), origin, 0)));
    }
    Ok(None)
}

/// As [`find`], where an image must be.
pub(super) fn needed(params: &Params, name: &str, settings: &Settings) -> Result<Picture, Failure> {
    let missing = || Failure::missing(format!("no image: expected `{name}_base64`, `{name}_url` or `{name}_file`"));
    find(params, name, settings)?.ok_or_else(missing)
}

/// Refuses more bytes than an image, or several together, may have.
pub(super) fn check_size(what: &str, n_bytes: usize, settings: &Settings) -> Result<(), Failure> {
    if n_bytes <= settings.image_bytes_max {
        return Ok(());
    }
    let message = format!("`{what}` has {n_bytes} bytes, expected at most {}", settings.image_bytes_max);
    Err(Failure::service(code::FRS_0017, message))
}

fn input(source: ImageSource, settings: &Settings) -> ImageInput {
    let formats = ImageFormats::JPEG.and(ImageFormats::PNG).and(ImageFormats::BMP);
    let (bytes_max, side_max) = (settings.image_bytes_max, settings.image_side_max);
    let rules = ImageRules { formats, bytes_max, side_max, side_min: 1 };
    ImageInput { source, rules, fetch_deadline: Duration::from_millis(settings.fetch_deadline_ms), count: Count::No }
}

/// Where to fetch an `image_url` from.
fn address(url: &str, member: &str, settings: &Settings) -> Result<(String, Origin), Failure> {
    let malformed = || {
        let message = format!("`{member}` is not an address, expected `/bucket/key` or `https://..`");
        Failure::service(code::FRS_0021, message)
    };
    let storage = settings.object_storage.as_deref().map(|base| base.trim_end_matches('/'));
    if let Some(path) = url.strip_prefix('/') {
        let (bucket, key) = path.split_once('/').ok_or_else(malformed)?;
        if bucket.is_empty() || key.is_empty() || has_dot_segment(path) {
            return Err(malformed());
        }
        let Some(base) = storage else {
            let message = format!("`{member}` is a bucket path, and this server has no object storage set up");
            return Err(Failure::service(code::FRS_0022, message));
        };
        return Ok((format!("{base}/{path}"), Origin::Bucket));
    }
    let scheme_end = url.find("://").ok_or_else(malformed)?;
    let (scheme, rest) = (&url[..scheme_end], &url[scheme_end + 3..]);
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) || rest.is_empty() {
        return Err(malformed());
    }
    if let (Some(base), Some((bucket, key))) = (storage, object_of(rest)) {
        if has_dot_segment(key) {
            return Err(malformed());
        }
        return Ok((format!("{base}/{bucket}/{key}"), Origin::Bucket));
    }
    Ok((url.to_owned(), Origin::Url))
}

/// Bucket and key of `bucket.obs.<region>.myhuaweicloud.com/key`.
fn object_of(host_and_path: &str) -> Option<(&str, &str)> {
    let (host, key) = host_and_path.split_once('/')?;
    let (bucket, service) = host.split_once('.')?;
    let region = service.strip_prefix("obs.")?.strip_suffix(".myhuaweicloud.com")?;
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (is_plain(bucket) && is_plain(region) && !key.is_empty()).then_some((bucket, key))
}

/// A `..` would climb out of the bucket the operator opened.
fn has_dot_segment(path: &str) -> bool {
    let plain = crate::http::target::decode(path.as_bytes()).into_owned();
    plain.split(|&byte| byte == b'/' || byte == b'\\').any(|segment| segment == b".." || segment == b".")
}
