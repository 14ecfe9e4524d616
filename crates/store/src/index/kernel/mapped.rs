//! Memory straight from the system instead of from the allocator, for what an index keeps in large blocks.
//!
//! In the allocator's heap a block that is aligned to a large page leaves nearly another one before it, which other
//! allocations fill and leave again, and a large table that is freed leaves a hole; both stay resident. Filling a million rows
//! of 128 numbers left 244 bytes of resident memory a row that way, and 212 since large blocks are mapped.
#![expect(unsafe_code, reason = "memory from the system")]

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::{CodeLine, FloatLine, RowSizes};

/// Numbers for which all zero bytes are a value and that own nothing.
pub trait Line: Copy + private::Sealed {}

impl Line for CodeLine {}
impl Line for FloatLine {}
impl Line for RowSizes {}
impl Line for u8 {}
impl Line for u16 {}
impl Line for u32 {}
impl Line for u64 {}

mod private {
    /// Keeps [`super::Line`] to lines: every pattern of their bytes is a value.
    pub trait Sealed {}
    impl Sealed for super::CodeLine {}
    impl Sealed for super::FloatLine {}
    impl Sealed for super::RowSizes {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
}

/// Whole pages of zeros, with an alignment. The system provides each page when it is first written.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    /// Size and alignment, the size in whole pages.
    layout: Layout,
}

// SAFETY: a mapping is memory of its own, which nothing but it refers to.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared, it gives addresses only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Of at least one byte; ends the process where there is no memory, as every allocation does.
    pub(super) fn new(layout: Layout) -> Self {
        let layout = system::whole_pages(layout);
        // SAFETY: it is in whole pages.
        let Some(start) = (unsafe { system::map(layout) }) else { handle_alloc_error(layout) };
        Self { start, layout }
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.layout.size()
    }

    /// Asks for large pages, where the system has them; for what is not yet written.
    pub(super) fn ask_for_large_pages(&self) {
        system::ask_for_large_pages(self.start, self.layout.size());
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this layout, and whoever used it is gone with the owner of this.
        unsafe { system::unmap(self.start, self.layout) };
    }
}

/// Bytes from which a [`Table`] is mapped: what is smaller would leave part of its last page unused.
const MAPPED_TABLE_BYTES: usize = 128 << 10;

/// A table of fixed length that begins as zeros, on its own pages if it is large.
#[derive(Debug)]
pub struct Table<T: Line>(Entries<T>);

#[derive(Debug)]
enum Entries<T> {
    Small(Box<[T]>),
    Large { memory: Mapping, len: usize, entries: PhantomData<T> },
}

impl<T: Line> Table<T> {
    /// `len` zeros.
    pub fn new(len: usize) -> Self {
        let layout = Layout::array::<T>(len).expect("a table is far smaller than memory");
        Self(match layout.size() {
            // SAFETY: zeros are a value of every line.
            ..MAPPED_TABLE_BYTES => Entries::Small(unsafe { Box::new_zeroed_slice(len).assume_init() }),
            _ => Entries::Large { memory: Mapping::new(layout), len, entries: PhantomData },
        })
    }
}

impl<T: Line> Default for Table<T> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T: Line> Deref for Table<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Entries::Small(entries) => entries,
            // SAFETY: the mapping has room for so many, is aligned for them, and began as zeros, which are a value.
            Entries::Large { memory, len, .. } => unsafe {
                std::slice::from_raw_parts(memory.start().cast().as_ptr(), *len)
            },
        }
    }
}

impl<T: Line> DerefMut for Table<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Entries::Small(entries) => entries,
            // SAFETY: as above, and `self` is borrowed alone.
            Entries::Large { memory, len, .. } => unsafe {
                std::slice::from_raw_parts_mut(memory.start().cast().as_ptr(), *len)
            },
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::alloc::Layout;
    use std::ptr::{NonNull, null_mut};

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    /// Whole pages on every system, as they have 4 to 64 KiB.
    const PAGES: usize = 64 << 10;

    pub(super) fn whole_pages(layout: Layout) -> Layout {
        let n_bytes = layout.size().max(1).next_multiple_of(PAGES);
        Layout::from_size_align(n_bytes, layout.align()).expect("a block is far smaller than memory")
    }

    /// # Safety
    /// The layout is one of [`whole_pages`].
    pub(super) unsafe fn map(layout: Layout) -> Option<NonNull<u8>> {
        let (n_bytes, align) = (layout.size(), layout.align());
        let map = |n_bytes| {
            let (rights, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
            // SAFETY: the system chooses a place where nothing is.
            NonNull::new(unsafe { mmap_anonymous(null_mut(), n_bytes, rights, flags) }.ok()?.cast::<u8>())
        };
        // SAFETY: of what was mapped by this function, and whole pages.
        let unmap = |start: NonNull<u8>, n_bytes| unsafe { unmap_bytes(start, n_bytes) };
        let start = map(n_bytes)?;
        if (start.as_ptr() as usize).is_multiple_of(align) {
            return Some(start);
        }
        // What is before and behind an aligned place in a longer one goes back. The next one is often right below it.
        unmap(start, n_bytes);
        let start = map(n_bytes + align)?;
        let n_before = start.as_ptr().align_offset(align);
        // SAFETY: within what was mapped.
        let aligned = unsafe { start.add(n_before) };
        unmap(start, n_before);
        // SAFETY: as above, or its end.
        unmap(unsafe { aligned.add(n_bytes) }, align - n_before);
        Some(aligned)
    }

    /// # Safety
    /// As many bytes from there on were mapped, and are used no more.
    unsafe fn unmap_bytes(start: NonNull<u8>, n_bytes: usize) {
        if n_bytes > 0 {
            // SAFETY: as of this function. It fails only where the system cannot keep the rest apart; then it stays.
            let _ = unsafe { munmap(start.as_ptr().cast(), n_bytes) };
        }
    }

    /// # Safety
    /// It was mapped with this layout, and is used no more.
    pub(super) unsafe fn unmap(start: NonNull<u8>, layout: Layout) {
        // SAFETY: as of this function.
        unsafe { unmap_bytes(start, layout.size()) };
    }

    pub(super) fn ask_for_large_pages(start: NonNull<u8>, n_bytes: usize) {
        // SAFETY: the memory is ours; the advice changes none of its contents. A system without large pages refuses it,
        // which is as good as before.
        let _ = unsafe { madvise(start.as_ptr().cast(), n_bytes, Advice::LinuxHugepage) };
    }
}

/// Gives what is free in the allocator's heaps back to the system; does nothing where the C library is not glibc.
///
/// What threads needed while they read rows back or filled an index stays there otherwise: 4 MB after a million rows.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time by any thread; it touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The allocator's memory.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    pub(super) fn whole_pages(layout: Layout) -> Layout {
        Layout::from_size_align(layout.size().max(1), layout.align()).expect("a block is far smaller than memory")
    }

    /// # Safety
    /// The layout is one of [`whole_pages`].
    pub(super) unsafe fn map(layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: as of this function.
        NonNull::new(unsafe { alloc_zeroed(layout) })
    }

    /// # Safety
    /// It was mapped with this layout, and is used no more.
    pub(super) unsafe fn unmap(start: NonNull<u8>, layout: Layout) {
        // SAFETY: as of this function.
        unsafe { dealloc(start.as_ptr(), layout) };
    }

    pub(super) fn ask_for_large_pages(_: NonNull<u8>, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_aligned_zeros_of_its_own() {
        let layout = Layout::from_size_align(4 << 20, 2 << 20).unwrap();
        let mappings: Vec<_> = (1..=4).map(|number| (number, Mapping::new(layout))).collect();
        let bytes = |memory: &Mapping| {
            // SAFETY: the mapping is as long, and nobody else has its address.
            unsafe { std::slice::from_raw_parts_mut(memory.start().as_ptr(), memory.n_bytes()) }
        };
        for (number, memory) in &mappings {
            assert_eq!((memory.start().as_ptr() as usize % layout.align(), memory.n_bytes()), (0, layout.size()));
            assert!(bytes(memory).iter().all(|byte| *byte == 0));
            bytes(memory).fill(*number);
        }
        for (number, memory) in &mappings {
            assert!(bytes(memory).iter().all(|byte| byte == number), "mapping {number} is shared");
        }
    }

    #[test]
    fn small_and_large_tables_begin_as_zeros_and_keep_what_is_written() {
        for len in [0, 1, 1000, MAPPED_TABLE_BYTES / 4 - 1, MAPPED_TABLE_BYTES / 4, 300_000] {
            let mut table = Table::<u32>::new(len);
            assert_eq!((table.len(), table.iter().all(|entry| *entry == 0)), (len, true));
            table.iter_mut().zip(7..).for_each(|(entry, number)| *entry = number);
            assert!(table.iter().copied().eq(7..7 + len as u32));
        }
    }
}
