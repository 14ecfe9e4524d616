//! What the index in Milvus asks of the store that it is derived from.

use std::collections::BTreeMap;

use likeness_domain::ports::{GalleryEntry, Pending};
use likeness_domain::types::{FaceId, FaceSetId, PackId, Revision};

/// A commit, and which one of its number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Its number.
    pub revision: Revision,
    /// Another history has another one under the same number; 0 if it is not known.
    pub checksum: i64,
}

/// How a set is kept in Milvus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its rows are copied to Milvus for the first time; nodes hold and search them until that is done.
    Filling,
    /// Milvus has its rows, and no node holds them.
    Served,
    /// Its rows are copied to Milvus anew and no node holds them: searches are refused until that is done.
    Refilling,
}

/// [`OutboxSet::next`] when every row was copied, and Milvus has yet to put them into its graph.
pub const COPIED: u64 = i64::MAX.cast_unsigned();

/// A set that is kept in Milvus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxSet {
    /// The pack of all its templates.
    pub pack: PackId,
    /// Numbers of a template; 0 while it never had one.
    pub n_numbers: usize,
    /// How far it is.
    pub stage: Stage,
    /// Place in order of enrolment from which on rows are still to be copied, while they are.
    pub next: u64,
}

/// Where an operator wants to have a set, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In Milvus, however small it is.
    Milvus,
    /// In every node, however large it is. A node that no longer holds it takes it back when it starts.
    Nodes,
}

/// What was handed to Milvus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outbox {
    /// Begins the names of this library's collections.
    pub name: String,
    /// Everything up to this commit is in Milvus.
    pub position: Position,
    /// Everything up to this commit is in Milvus' files as well: what it has confirmed since may be lost with its process.
    pub flushed: Position,
    /// How often it was taken back that Milvus has something: a position that went back, a set that is copied anew. Rows may be
    /// missing in Milvus from then on that an earlier outbox says are there.
    pub n_taken_back: u64,
    /// When it was, by Milvus' clock: a search that sees everything up to then sees it. 0 if Milvus gave no time.
    pub seen: u64,
    /// The sets that it is about.
    pub sets: BTreeMap<FaceSetId, OutboxSet>,
    /// Sets that an operator wants to have copied anew, as of when it was loaded; saving it does away with these wishes.
    pub rebuilds: Vec<FaceSetId>,
    /// Where operators want sets, as of when it was loaded; saving it leaves these wishes as they are.
    pub chosen: BTreeMap<FaceSetId, Place>,
}

/// A set and how large it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeSet {
    /// Which set.
    pub face_set: FaceSetId,
    /// The pack of all its templates.
    pub pack: PackId,
    /// Faces in its gallery.
    pub n_faces: u64,
}

/// A change by what it touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Touched {
    /// The set is gone, or was emptied.
    Closed(FaceSetId),
    /// The face is in the gallery of the set, or was until then.
    Face(FaceSetId, FaceId),
}

/// Commits after a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPage {
    /// These.
    Commits {
        /// What they touched, in order.
        touched: Vec<(Revision, Touched)>,
        /// The last of them.
        reached: Position,
        /// Whether there are more.
        has_more: bool,
    },
    /// They are compacted away, or the history is another one.
    Lost {
        /// The last commit there is.
        newest: Position,
    },
}

/// What happened while a search was under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meanwhile {
    /// Commits after the one that it knew of.
    pub log: LogPage,
    /// [`Outbox::n_taken_back`] as it was saved last.
    pub n_taken_back: u64,
}

/// Some rows of a set, in order of enrolment.
#[derive(Debug, Clone, Default)]
pub struct RowPage {
    /// Those that are whole.
    pub rows: Vec<GalleryEntry>,
    /// Place to go on from; `None` after the last.
    pub next: Option<u64>,
}

/// The store, as far as the index in Milvus needs it.
///
/// Everything read is what is committed at that moment, or later than that.
pub trait Truth: Send + Sync {
    /// Sets with at least so many faces, and those named.
    fn large_sets(&self, n_faces_min: u64, also: Vec<FaceSetId>) -> Pending<'_, Vec<LargeSet>>;

    /// The rows of these faces in the gallery of the set; none of those that are not in it (any more).
    fn rows(&self, face_set: FaceSetId, faces: Vec<FaceId>) -> Pending<'_, Vec<GalleryEntry>>;

    /// About `limit` rows from that place in order of enrolment on.
    fn page(&self, face_set: FaceSetId, from: u64, limit: usize) -> Pending<'_, RowPage>;

    /// The last commit.
    fn newest(&self) -> Pending<'_, Position>;

    /// Up to `limit` commits after a position.
    fn log(&self, after: Position, limit: usize) -> Pending<'_, LogPage>;

    /// Up to `limit` commits after a position, and how often the outbox was taken back until they were read.
    fn meanwhile(&self, after: Position, limit: usize) -> Pending<'_, Meanwhile>;

    /// What was saved last; at first an outbox with a new name, at the last commit, without sets.
    fn load(&self) -> Pending<'_, Outbox>;

    /// Whether this node is the one that writes to Milvus; takes that over from one that is gone.
    fn lead(&self) -> Pending<'_, bool>;

    /// Keeps the wish that a set is copied anew, for whoever writes to Milvus.
    fn ask_for_rebuild(&self, face_set: FaceSetId) -> Pending<'_, ()>;

    /// Keeps where a set is wanted; `None` for wherever its size says.
    fn choose(&self, face_set: FaceSetId, place: Option<Place>) -> Pending<'_, ()>;

    /// Keeps it durably. Refused unless this node is the one that writes to Milvus.
    fn save(&self, outbox: Outbox) -> Pending<'_, ()>;
}
