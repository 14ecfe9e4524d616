//! The images of requests, by their addresses.

use std::time::Duration;

use likeness_domain::access::Caller;
use likeness_domain::library::{ImageInput, ImageSource};
use likeness_domain::ports::{Count, ImageFormats, ImageRules};

use super::call::Api;
use super::errors::{Fault, code};
use super::settings::Settings;
use super::uploads;

/// Characters of an image's address.
const URL_CHARS_MAX: usize = 2048;

/// The image behind an address: one to be fetched, or an upload of the caller's. What the fetcher judges (hosts,
/// ports, redirects) is not judged here.
pub(super) fn image(api: &Api, caller: &Caller, url: &str) -> Result<ImageInput, Fault> {
    if url.chars().count() > URL_CHARS_MAX {
        return Err(Fault::invalid(format!("the address has more than {URL_CHARS_MAX} characters")));
    }
    if url.chars().any(char::is_control) {
        return Err(Fault::invalid("the address has a control character"));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(Fault::invalid("the address does not begin with http:// or https://"));
    };
    let source = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => ImageSource::Url(url.to_owned()),
        "oss" => ImageSource::Upload(uploads::named(api, caller, rest)?),
        _ => return Err(Fault::new(code::NOT_ALLOWED, "only http and https addresses are fetched")),
    };
    let Settings { image_bytes_max: bytes_max, image_side_max: side_max, fetch_deadline_ms, .. } = *api.settings();
    let rules = ImageRules { formats: ImageFormats::ALL, bytes_max, side_max, side_min: 1 };
    Ok(ImageInput { source, rules, fetch_deadline: Duration::from_millis(fetch_deadline_ms), count: Count::No })
}
