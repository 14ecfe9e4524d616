//! Images and clips by address, clips as pictures, messages to addresses.

use std::time::Duration;

use bytes::Bytes;

use super::Pending;
use crate::access::Share;

/// Bounds of one fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchRules {
    /// Most bytes taken; more gives [`crate::Kind::ImageTooLarge`].
    pub bytes_max: usize,
    /// Time for everything together; longer gives [`crate::Kind::UrlTimeout`].
    pub deadline: Duration,
    /// On whose account; tenants take slots in turn.
    pub share: Share,
}

/// Fetches images by address, keeping private, loopback and link-local addresses out unless the operator allowed the
/// host by name. Errors: the URL kinds and [`crate::Kind::ImageTooLarge`]; messages never hold the answer's body or
/// an internal address.
pub trait ImageFetcher: Send + Sync {
    /// The bytes behind `url`.
    fn fetch(&self, url: &str, rules: FetchRules) -> Pending<'_, Bytes>;
}

/// What a clip may be, and how much of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoRules {
    /// Least milliseconds; less gives [`crate::Kind::VideoDuration`].
    pub duration_ms_min: u32,
    /// Most milliseconds; more gives [`crate::Kind::VideoDuration`], without all of it being decoded.
    pub duration_ms_max: u32,
    /// Most pictures returned, evenly spread over the clip; at least 1.
    pub frames_max: usize,
    /// On whose account; tenants take slots in turn.
    pub share: Share,
}

/// A clip as pictures.
#[derive(Clone)]
pub struct Video {
    /// How long it is: as decoded, not as its header claims.
    pub duration_ms: u32,
    /// Pictures in order of time, upright, all of one size.
    pub frames: Vec<VideoFrame>,
}

/// One picture of a clip.
#[derive(Clone)]
pub struct VideoFrame {
    /// Milliseconds since the first picture.
    pub at_ms: u32,
    /// The picture as a JPEG file, such as [`FaceAnalyzer::analyze`] takes.
    pub picture: Bytes,
}

/// Turns a clip into pictures. What it is given comes from strangers: memory, time and what it may open are bounded,
/// nothing of the clip reaches a disk or a log, and nothing that the clip names is opened or fetched.
pub trait VideoDecoder: Send + Sync {
    /// Samples the clip. Errors: [`crate::Kind::VideoUnreadable`], [`crate::Kind::VideoDuration`],
    /// [`crate::Kind::Overloaded`] (as many clips as may be are under way and waiting), [`crate::Kind::Unsupported`] (nothing
    /// that decodes clips is installed).
    fn decode(&self, video: Bytes, rules: VideoRules) -> Pending<'_, Video>;
}

/// A message to an address that a caller named.
#[derive(Clone)]
pub struct Webhook {
    /// What the body is.
    pub content_type: &'static str,
    /// The body; never logged.
    pub body: Bytes,
}

/// Delivers messages over HTTP, under the address rules of [`ImageFetcher`] and following no redirect. Errors: the URL
/// kinds; an answer is none, whatever it says.
pub trait WebhookSender: Send + Sync {
    /// Refuses an address that [`WebhookSender::deliver`] would refuse now (`UrlInvalid`, `UrlForbidden`,
    /// `UrlUnreachable` for an unknown host) without connecting to it.
    fn check(&self, url: &str) -> Pending<'_, ()>;

    /// Posts the message and returns the answer's HTTP status; its body is not read. Longer than `deadline` for
    /// everything together gives [`crate::Kind::UrlTimeout`]. `share` is on whose account; tenants take slots in turn.
    fn deliver(&self, url: &str, message: Webhook, deadline: Duration, share: Share) -> Pending<'_, u16>;
}
