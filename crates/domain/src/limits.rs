//! Every upper bound, named, with its reason. Dialects may be stricter, never laxer.

use std::time::Duration;

/// Bytes of one image file. The most generous vendor takes 20 MB.
pub const IMAGE_BYTES_MAX: usize = 20 * 1024 * 1024;

/// Width or height of an image. JPEG ends at 65,535, but memory would not; 12,000 covers every camera sold.
pub const IMAGE_SIDE_MAX: u32 = 12_000;

/// Pixels of an image: covers phones of 50 megapixels and more. As RGB this is 192 MB; a format whose decoder needs
/// more for each pixel ends earlier, at [`IMAGE_MEMORY_BYTES_MAX`].
pub const IMAGE_PIXELS_MAX: u64 = 64_000_000;

/// Bytes that decoding one image may hold at once, the finished picture included: four for each pixel allowed.
pub const IMAGE_MEMORY_BYTES_MAX: u64 = IMAGE_PIXELS_MAX * 4;

/// Scans of a progressive JPEG. Real files have about 10; thousands of empty ones keep a decoder busy for minutes.
pub const JPEG_SCANS_MAX: usize = 100;

/// Actions asked for in one clip; the vendor that takes clips ends here too.
pub const ACTIONS_MAX: usize = 10;

/// Bytes of one clip file. The vendor that takes clips ends at 8 MB; phones make 2 MB a second at most.
pub const VIDEO_BYTES_MAX: usize = 20 * 1024 * 1024;

/// Milliseconds of one clip. The vendor that takes clips ends at 15 s.
pub const VIDEO_DURATION_MS_MAX: u32 = 60_000;

/// Pictures analysed of one clip: each costs about as much as an image of its own.
pub const VIDEO_FRAMES_MAX: usize = 96;

/// Faces taken from one image: a class photograph has a hundred, a stadium must not fill the gallery.
pub const FACES_PER_IMAGE_MAX: usize = 256;

/// Images of one request, the largest of the vendors' bounds.
pub const IMAGES_PER_REQUEST_MAX: usize = 100;

/// Most faces of a person that a search looks for, or a comparison looks at: each is one comparison more in which a stranger
/// may be found, and so many are what the default pack's measurement bears at the usual rate.
pub const PERSON_PROBES_MAX: usize = 64;

/// Most candidates of one search, the largest of the vendors' bounds.
pub const TOP_K_MAX: usize = 1000;

/// Most candidates of one request, over all faces of its image: each is read from the store with its template.
pub const CANDIDATES_MAX: usize = 10_000;

/// Most entries of one page of a listing.
pub const PAGE_LIMIT_MAX: u64 = 10_000;

/// Characters of a text that labels and external ids are to begin with.
pub const BEGINNING_CHARS_MAX: usize = 255;

/// Most faces whose small pictures are asked for at once: together at most 800 KB.
pub const THUMBNAILS_MAX: usize = 100;

/// Most faces named in one delete.
pub const SELECTOR_IDS_MAX: usize = 1000;

/// Most faces of one stretch of an archive, read or enrolled by their templates.
pub const ARCHIVE_FACES_MAX: usize = 1000;

/// Most external ids asked about in one question.
pub const EXTERNAL_IDS_MAX: usize = 1000;

/// Characters of a filter's text.
pub const FILTER_CHARS_MAX: usize = 4096;

/// Nesting of a filter's parentheses and negations.
pub const FILTER_DEPTH_MAX: usize = 32;

/// Sort keys of one search: one per custom field.
pub const SORT_KEYS_MAX: usize = 10;

/// Bytes of a job's payload, and of its result: a few hundred addresses or answers, never an image.
pub const JOB_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a short-lived record: the answer of a request that may be repeated.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Longest time for which the old secret of a rotated key may be accepted.
pub const KEY_OVERLAP_MAX: Duration = Duration::from_hours(31 * 24);

/// Characters of a key's label: a line in a list.
pub const KEY_LABEL_CHARS_MAX: usize = 255;

/// Most persons and jobs of one page of a listing, since each may be of 64 KiB.
pub const PERSON_PAGE_MAX: u64 = 1000;

/// Most access keys of one tenant that are made over the network; the owner of the data folder may make more.
pub const KEYS_MAX: usize = 1000;

/// Longest life of an access key that has an end: a hundred years.
pub const KEY_LIFETIME_MAX: Duration = Duration::from_hours(100 * 365 * 24);

/// How long a picture that was handed in may lie there: a day is enough for whoever fills a library overnight, and no
/// photograph stays because somebody forgot it.
pub const UPLOAD_LIFETIME_MAX: Duration = Duration::from_hours(24);

/// Bytes of the scope of something that may be used only once: a dialect's word and a short id.
pub const ONCE_SCOPE_BYTES_MAX: usize = 64;

/// Bytes of a token that may be used only once: any digest, and the nonces clients make.
pub const ONCE_TOKEN_BYTES_MAX: usize = 128;

/// Transient faces of one tenant. With templates of 512 dimensions these are 220 MB; a client that
/// looks at ten faces a second fills it in under three hours, and from then on the oldest go before their time.
pub const TRANSIENT_FACES_MAX: u64 = 100_000;

/// Longest time a transient face is kept: what the vendors' documentation promises to clients.
pub const TRANSIENT_FACE_LIFETIME_MAX: Duration = Duration::from_hours(72);
