//! Memory that the C library holds back for later, given back to the system.
//!
//! Loading a model frees several copies of its weights, which glibc keeps: measured with SFace, 43 MB with OpenVINO and
//! 80 MB with ONNX Runtime. Of large blocks that come and go, such as pictures and the bodies of requests, it keeps more and
//! more in each thread's heap.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "a function of the C library, which has no safe wrapper")
)]

/// Gives free memory back to the system; does nothing where the C library is another one.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time by any thread; it touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes from which a block of memory is mapped by itself: more than the buffers of a photograph that is shown to the detector
/// (4 MB for 1.3 MP), which are made for each one: with those mapped, finding six faces took 14 to 19 ms instead of 12.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES: libc::c_int = 8 << 20;

/// Bytes at the end of a heap that glibc keeps when they are freed: more than a photograph's buffers, so that the next one need
/// not have them mapped page by page again. With glibc's own 128 KiB, finding six faces took 73 page faults and 0.4 ms of 8 ms.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: libc::c_int = 4 << 20;

/// Has blocks of 8 MiB or more returned to the system as soon as they are freed, and up to 4 MiB of smaller ones kept, in the
/// whole process; does nothing where the C library is another one.
///
/// By itself glibc raises that bound to 32 MiB with the blocks that it sees, and then keeps pieces of 64 MiB a thread.
/// Measured by `tests/memory.py`: 306 MiB at most instead of 410, with 512 clients that upload 20 MB each.
pub fn keep_no_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets numbers of the allocator under its lock; may be called at any time by any thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}
