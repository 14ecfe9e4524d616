//! Where the planes and columns of a shared segment are, without looking at the segment.
//!
//! A scan comes by a thousand segments of a million rows. Each is somewhere in memory, on a page of its own, and while the
//! scan keeps memory busy it takes the time of twenty rows to look one up, only to learn where its planes are, or for a
//! filter its columns. So that is kept in the list of segments itself, which is read from one end to the other.
#![expect(unsafe_code, reason = "slices that are kept beside what owns them")]

use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{CodeLine, FineRows, RowSizes, Rows};

/// What has planes. They must stay where they are and as they are while nobody has it to change it, which holds for
/// everything without interior mutability.
pub trait Planes: Clone {
    /// What filters look at of all rows, for one of their fields.
    type Column: Debug;

    /// The coarse plane of all rows, filled up to whole groups, without any to come.
    fn coarse_plane(&self) -> Rows<'_>;

    /// The fine plane of the same rows.
    fn fine_plane(&self) -> FineRows<'_>;

    /// How many rows there are.
    fn n_rows(&self) -> usize;

    /// The sketches of all rows, or nothing.
    fn sketch_plane(&self) -> &[CodeLine];

    /// What filters look at of all rows.
    fn columns(&self) -> &[Self::Column];
}

/// Something shared, with its planes at hand: one line of memory.
///
/// # Invariants
/// Pointers and lengths are those of `owner`'s planes and columns, or the lengths are 0. Both planes have `n_lines` lines for
/// each of the sizes, and there are as many residuals as sizes.
#[derive(Debug)]
pub struct AtHand<S: Planes> {
    coarse: NonNull<CodeLine>,
    sizes: NonNull<RowSizes>,
    sketches: NonNull<CodeLine>,
    fine: NonNull<CodeLine>,
    residuals: NonNull<u16>,
    columns: NonNull<S::Column>,
    owner: Arc<S>,
    n_sizes: u16,
    n_rows: u16,
    n_sketch_lines: u16,
    n_lines: u8,
    n_columns: u8,
}

const _: () = assert!(size_of::<AtHand<Nothing>>() == size_of::<CodeLine>());

/// Has no planes; of any owner's size.
#[derive(Debug, Clone)]
struct Nothing;

impl Planes for Nothing {
    type Column = u64;

    fn coarse_plane(&self) -> Rows<'_> {
        Rows { coarse: &[], n_lines: 1, sizes: &[], next_coarse: &[], next_sizes: &[] }
    }

    fn fine_plane(&self) -> FineRows<'_> {
        FineRows { fine: &[], n_lines: 1, sizes: &[], residuals: &[] }
    }

    fn n_rows(&self) -> usize {
        0
    }

    fn sketch_plane(&self) -> &[CodeLine] {
        &[]
    }

    fn columns(&self) -> &[u64] {
        &[]
    }
}

// SAFETY: the pointers are only read through, and what they point to is the owner's.
unsafe impl<S: Planes + Send + Sync> Send for AtHand<S> where S::Column: Send + Sync {}
// SAFETY: as above.
unsafe impl<S: Planes + Send + Sync> Sync for AtHand<S> where S::Column: Send + Sync {}

impl<S: Planes> Clone for AtHand<S> {
    fn clone(&self) -> Self {
        // What is pointed to is the same owner's.
        Self { owner: Arc::clone(&self.owner), ..*self }
    }
}

impl<S: Planes> AtHand<S> {
    /// Of something that nobody else has.
    pub fn new(owner: S) -> Self {
        let mut at_hand = Self {
            coarse: NonNull::dangling(),
            sizes: NonNull::dangling(),
            sketches: NonNull::dangling(),
            fine: NonNull::dangling(),
            residuals: NonNull::dangling(),
            columns: NonNull::dangling(),
            owner: Arc::new(owner),
            n_sizes: 0,
            n_rows: 0,
            n_sketch_lines: 0,
            n_lines: 0,
            n_columns: 0,
        };
        at_hand.find();
        at_hand
    }

    fn find(&mut self) {
        let rows = self.owner.coarse_plane();
        let n = |n: usize| u16::try_from(n).expect("a segment is far smaller");
        let few = |n: usize| u8::try_from(n).expect("a row has fewer lines, and fewer fields");
        (self.n_rows, self.n_sizes, self.n_lines) = (n(self.owner.n_rows()), n(rows.sizes.len()), few(rows.n_lines));
        assert!(rows.coarse.len() == self.n_plane_lines());
        (self.coarse, self.sizes) = (NonNull::from(rows.coarse).cast(), NonNull::from(rows.sizes).cast());
        let fine = self.owner.fine_plane();
        assert!(fine.fine.len() == rows.coarse.len() && fine.residuals.len() == rows.sizes.len());
        (self.fine, self.residuals) = (NonNull::from(fine.fine).cast(), NonNull::from(fine.residuals).cast());
        let sketches = self.owner.sketch_plane();
        (self.sketches, self.n_sketch_lines) = (NonNull::from(sketches).cast(), n(sketches.len()));
        let columns = self.owner.columns();
        (self.columns, self.n_columns) = (NonNull::from(columns).cast(), few(columns.len()));
    }

    fn forget(&mut self) {
        (self.n_sizes, self.n_rows, self.n_sketch_lines, self.n_columns) = (0, 0, 0, 0);
    }

    /// How many rows there are.
    #[inline]
    pub fn n_rows(&self) -> usize {
        usize::from(self.n_rows)
    }

    /// Lines of a row.
    #[inline]
    pub fn n_lines(&self) -> usize {
        usize::from(self.n_lines)
    }

    /// The coarse plane of all rows, filled up to whole groups. `next` is what is probably scanned next.
    #[inline]
    pub fn coarse_rows<'a>(&'a self, next: Option<&'a Self>) -> Rows<'a> {
        let (next_coarse, next_sizes) = next.map_or_else(Default::default, Self::slices);
        let (coarse, sizes) = self.slices();
        Rows { coarse, n_lines: self.n_lines(), sizes, next_coarse, next_sizes }
    }

    /// The fine plane of the same rows.
    #[inline]
    pub fn fine_rows(&self) -> FineRows<'_> {
        let (_, sizes) = self.slices();
        // SAFETY: as of `slices`.
        let (fine, residuals) = unsafe {
            (
                std::slice::from_raw_parts(self.fine.as_ptr(), self.n_plane_lines()),
                std::slice::from_raw_parts(self.residuals.as_ptr(), usize::from(self.n_sizes)),
            )
        };
        FineRows { fine, n_lines: self.n_lines(), sizes, residuals }
    }

    /// The sketches of all rows, or nothing.
    #[inline]
    pub fn sketches(&self) -> &[CodeLine] {
        // SAFETY: as of `slices`.
        unsafe { std::slice::from_raw_parts(self.sketches.as_ptr(), usize::from(self.n_sketch_lines)) }
    }

    /// What filters look at of all rows.
    #[inline]
    pub fn columns(&self) -> &[S::Column] {
        // SAFETY: as of `slices`.
        unsafe { std::slice::from_raw_parts(self.columns.as_ptr(), usize::from(self.n_columns)) }
    }

    /// Lines of a plane.
    #[inline]
    fn n_plane_lines(&self) -> usize {
        usize::from(self.n_sizes) * usize::from(self.n_lines)
    }

    #[inline]
    fn slices(&self) -> (&[CodeLine], &[RowSizes]) {
        // SAFETY: these are slices that the owner has, which lives as long as `self` and is not changed meanwhile: that
        // takes `change`, which takes `self` alone and leaves lengths of 0 until it ends. Others who share the owner copy
        // it before they change it.
        unsafe {
            (
                std::slice::from_raw_parts(self.coarse.as_ptr(), self.n_plane_lines()),
                std::slice::from_raw_parts(self.sizes.as_ptr(), usize::from(self.n_sizes)),
            )
        }
    }

    /// Lets it be changed; it is copied first if it is shared.
    pub fn change(&mut self) -> Change<'_, S> {
        self.forget();
        Arc::make_mut(&mut self.owner);
        Change(self)
    }
}

impl<S: Planes> Deref for AtHand<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.owner
    }
}

/// A change under way: until it is dropped, nothing is at hand.
#[derive(Debug)]
pub struct Change<'a, S: Planes>(&'a mut AtHand<S>);

impl<S: Planes> Deref for Change<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.owner
    }
}

impl<S: Planes> DerefMut for Change<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        Arc::make_mut(&mut self.0.owner)
    }
}

impl<S: Planes> Drop for Change<'_, S> {
    fn drop(&mut self) {
        self.0.find();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone)]
    struct Owner {
        codes: Vec<CodeLine>,
        bounds: Vec<RowSizes>,
        residuals: Vec<u16>,
    }

    impl Planes for Owner {
        type Column = CodeLine;

        fn coarse_plane(&self) -> Rows<'_> {
            Rows { coarse: &self.codes, n_lines: 1, sizes: &self.bounds, next_coarse: &[], next_sizes: &[] }
        }

        fn fine_plane(&self) -> FineRows<'_> {
            FineRows { fine: &self.codes, n_lines: 1, sizes: &self.bounds, residuals: &self.residuals }
        }

        fn n_rows(&self) -> usize {
            self.codes.len()
        }

        fn sketch_plane(&self) -> &[CodeLine] {
            &self.codes[self.codes.len() / 2..]
        }

        fn columns(&self) -> &[CodeLine] {
            &self.codes[self.codes.len() / 3..]
        }
    }

    #[test]
    fn what_is_at_hand_is_what_the_owner_has_after_every_change_and_copies_keep_theirs() {
        let mut first = AtHand::new(Owner { codes: Vec::new(), bounds: Vec::new(), residuals: Vec::new() });
        assert_eq!((first.n_rows(), first.coarse_rows(None).coarse.len()), (0, 0));
        for n_rows in 1..100_u8 {
            let before = first.clone();
            let mut change = first.change();
            // Grows into other memory again and again.
            change.codes.push(CodeLine([n_rows; 64]));
            change.bounds.push(RowSizes::from_bits(u32::from(n_rows)));
            change.residuals.push(u16::from(n_rows));
            drop(change);
            assert_eq!((before.n_rows(), first.n_rows()), (usize::from(n_rows) - 1, usize::from(n_rows)));
            let rows = first.coarse_rows(Some(&before));
            assert_eq!((rows.coarse, rows.sizes), (&first.codes[..], &first.bounds[..]));
            let fine = first.fine_rows();
            assert_eq!(
                (fine.fine, fine.sizes, fine.residuals),
                (&first.codes[..], &first.bounds[..], &first.owner.residuals[..])
            );
            assert_eq!(first.sketches(), &first.codes[first.codes.len() / 2..]);
            assert_eq!(first.columns(), &first.codes[first.codes.len() / 3..]);
            assert_eq!((rows.next_coarse, rows.next_sizes), (&before.codes[..], &before.bounds[..]));
            assert_eq!(rows.next_coarse.as_ptr(), before.codes.as_ptr(), "a copy was given other memory");
        }
        // A change that is never ended leaves nothing to be read.
        std::mem::forget(first.change());
        assert_eq!((first.n_rows(), first.coarse_rows(None).coarse.len()), (0, 0));
        assert_eq!((first.sketches().len(), first.columns().len()), (0, 0));
    }
}
