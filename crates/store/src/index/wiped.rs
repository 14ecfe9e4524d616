//! Buffers of biometric numbers, overwritten before their memory is given back.

use std::hint::black_box;
use std::ops::{Deref, DerefMut};

/// A growing run of `T` whose memory is overwritten with `blank` when it moves or is dropped.
#[derive(Debug)]
pub(super) struct Wiped<T: Copy> {
    items: Vec<T>,
    blank: T,
}

impl<T: Copy> Wiped<T> {
    pub(super) fn new(blank: T) -> Self {
        Self { items: Vec::new(), blank }
    }

    /// Makes it `len` long, with blanks at the end. `Vec` would free the old place as it is.
    pub(super) fn grow_to(&mut self, len: usize) {
        debug_assert!(len >= self.items.len());
        let mut items = Vec::with_capacity(len);
        items.extend_from_slice(&self.items);
        items.resize(len, self.blank);
        self.wipe();
        self.items = items;
    }

    fn wipe(&mut self) {
        self.items.fill(self.blank);
        // The memory is freed next and never read again, so the compiler could drop the writes; it must assume that
        // `black_box` reads them.
        black_box(self.items.as_mut_slice());
    }
}

impl<T: Copy> Drop for Wiped<T> {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl<T: Copy> Clone for Wiped<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), blank: self.blank }
    }
}

impl<T: Copy> Deref for Wiped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T: Copy> DerefMut for Wiped<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}
