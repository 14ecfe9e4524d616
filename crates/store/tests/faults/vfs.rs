//! A file system of SQLite's in front of the real one, which tells [`Disk`] of every call and lets calls fail.
//!
//! It is installed as the default one of the process, so the store under test needs to know nothing of it. Files of folders
//! that nobody watches go straight to the real file system.
#![expect(unsafe_code, reason = "a file system of SQLite's is a table of C functions")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use rusqlite::ffi;

use crate::disk::{Call, Disk, Outcome, SECTOR_BYTES};

/// An open file. SQLite allocates it with room for a file of the real file system behind it.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    watched: *mut Watched,
}

/// What is known of an open file.
struct Watched {
    disk: Option<Arc<Disk>>,
    path: PathBuf,
}

/// Puts ours in front of the real ones: of the default one, and of that with which a process has a database for itself.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: a null name asks for the default file system, which lives as long as the process; the copy of it is leaked, so
        // that it does too. SQLite may be initialised by any thread, and `Once` orders this before the first use.
        unsafe {
            let alone = c"unix-excl".as_ptr();
            // Of two with one name the one that was registered last is found.
            for (of, name, is_default) in [(alone, alone, 0), (std::ptr::null(), c"watched".as_ptr(), 1)] {
                let real = ffi::sqlite3_vfs_find(of);
                assert!(!real.is_null());
                let mut ours = *real;
                ours.iVersion = 2;
                ours.szOsFile = size_of::<File>() as c_int + (*real).szOsFile;
                ours.pNext = std::ptr::null_mut();
                ours.zName = name;
                ours.pAppData = real.cast();
                ours.xOpen = Some(open);
                ours.xDelete = Some(delete);
                let ours = Box::into_raw(Box::new(ours));
                assert_eq!(ffi::sqlite3_vfs_register(ours, is_default), ffi::SQLITE_OK);
            }
        }
    });
}

/// The real file system behind ours.
///
/// # Safety
/// `ours` was made by [`install`].
unsafe fn real(ours: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: set by `install`; both live as long as the process.
    unsafe { (*ours).pAppData.cast() }
}

/// The file of the real file system behind ours.
///
/// # Safety
/// `file` was opened by [`open`].
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite allocated `szOsFile` bytes, of which ours are the first; its size keeps the alignment.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// What is known of the file.
///
/// # Safety
/// `file` was opened by [`open`] and is not closed.
unsafe fn watched<'a>(file: *mut ffi::sqlite3_file) -> &'a Watched {
    // SAFETY: set by `open`, freed by `close`.
    unsafe { &*(*file.cast::<File>()).watched }
}

/// Calls a method of the real file.
macro_rules! inner {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let inner = inner($file);
        match (*(*inner).pMethods).$method {
            Some(method) => method(inner $(, $argument)*),
            None => ffi::SQLITE_IOERR,
        }
    }};
}

/// The error with which a call ends, unless it works.
fn failure(watched: &Watched, call: Call, broken: c_int) -> Option<c_int> {
    match watched.disk.as_ref()?.call(call) {
        Outcome::Works => None,
        Outcome::Broken => Some(broken),
        Outcome::Full if call == Call::Open => Some(ffi::SQLITE_CANTOPEN),
        Outcome::Full if call == Call::ShmMap => Some(ffi::SQLITE_IOERR_SHMSIZE),
        Outcome::Full | Outcome::Short => Some(ffi::SQLITE_FULL),
        Outcome::Torn => Some(broken),
    }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands over memory for a file of ours and a name that ends with a zero, or none for a temporary file. The
    // name goes on as the same pointer, since SQLite keeps more behind it.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let path = match name.is_null() {
            true => PathBuf::new(),
            false => Path::new(std::ffi::OsStr::from_bytes(CStr::from_ptr(name).to_bytes())).to_owned(),
        };
        let seen = Watched { disk: Disk::of(&path), path };
        if let Some(error) = failure(&seen, Call::Open, ffi::SQLITE_CANTOPEN) {
            return error;
        }
        let before = seen.disk.as_ref().and_then(|_| std::fs::metadata(&seen.path).ok());
        let Some(open) = (*real(vfs)).xOpen else { return ffi::SQLITE_CANTOPEN };
        let outcome = open(real(vfs), name, inner(file), flags, out_flags);
        if outcome != ffi::SQLITE_OK {
            return outcome;
        }
        if let Some(disk) = &seen.disk {
            // Read through the real file: closing another handle of it would release SQLite's locks on it.
            let content = before.map(|metadata| {
                let mut bytes = vec![0_u8; metadata.len() as usize];
                let inner = inner(file);
                if !bytes.is_empty()
                    && let Some(read) = (*(*inner).pMethods).xRead
                {
                    read(inner, bytes.as_mut_ptr().cast(), bytes.len() as c_int, 0);
                }
                bytes
            });
            disk.opened(&seen.path, content);
        }
        let ours = file.cast::<File>();
        (*ours).watched = Box::into_raw(Box::new(seen));
        (*ours).base.pMethods = &raw const METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: a name that ends with a zero.
    unsafe {
        let path = Path::new(std::ffi::OsStr::from_bytes(CStr::from_ptr(name).to_bytes())).to_owned();
        let seen = Watched { disk: Disk::of(&path), path };
        if let Some(error) = failure(&seen, Call::Delete, ffi::SQLITE_IOERR_DELETE) {
            return error;
        }
        let Some(delete) = (*real(vfs)).xDelete else { return ffi::SQLITE_IOERR_DELETE };
        let outcome = delete(real(vfs), name, sync_folder);
        if outcome == ffi::SQLITE_OK
            && let Some(disk) = &seen.disk
        {
            disk.deleted(&seen.path, sync_folder != 0);
        }
        outcome
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Version 2 has shared memory and no memory-mapped reading, which would pass us by.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

// SAFETY, of all functions below: SQLite calls them with a file that `open` has opened, and with buffers of the sizes it says.

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see above; what `open` boxed is freed once, since SQLite closes a file once.
    unsafe {
        drop(Box::from_raw((*file.cast::<File>()).watched));
        inner!(file, xClose)
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, buffer: *mut c_void, n_bytes: c_int, at: i64) -> c_int {
    // SAFETY: see above.
    unsafe {
        match failure(watched(file), Call::Read, ffi::SQLITE_IOERR_READ) {
            Some(error) => error,
            None => inner!(file, xRead, buffer, n_bytes, at),
        }
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, buffer: *const c_void, n_bytes: c_int, at: i64) -> c_int {
    // SAFETY: see above.
    unsafe {
        let seen = watched(file);
        let bytes = std::slice::from_raw_parts(buffer.cast::<u8>(), n_bytes as usize);
        let Some(disk) = &seen.disk else { return inner!(file, xWrite, buffer, n_bytes, at) };
        let (step, n_written, error) = match disk.call(Call::Write) {
            Outcome::Works => (n_bytes as usize, n_bytes as usize, ffi::SQLITE_OK),
            Outcome::Broken => (1, 0, ffi::SQLITE_IOERR_WRITE),
            Outcome::Full => (1, 0, ffi::SQLITE_FULL),
            Outcome::Short => (n_bytes as usize, n_bytes as usize / 2, ffi::SQLITE_FULL),
            Outcome::Torn => (2 * SECTOR_BYTES, n_bytes as usize, ffi::SQLITE_IOERR_WRITE),
        };
        // Of a torn write the first sector of each step, else all in one.
        for start in (0..n_written).step_by(step.max(1)) {
            let len = if error == ffi::SQLITE_IOERR_WRITE { SECTOR_BYTES.min(n_written - start) } else { n_written };
            let part = &bytes[start..start + len];
            let at = at + start as i64;
            let outcome = inner!(file, xWrite, part.as_ptr().cast(), part.len() as c_int, at);
            if outcome != ffi::SQLITE_OK {
                return outcome;
            }
            disk.written(&seen.path, at.cast_unsigned(), part);
        }
        error
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, n_bytes: i64) -> c_int {
    // SAFETY: see above.
    unsafe {
        let seen = watched(file);
        if let Some(error) = failure(seen, Call::Truncate, ffi::SQLITE_IOERR_TRUNCATE) {
            return error;
        }
        let outcome = inner!(file, xTruncate, n_bytes);
        if outcome == ffi::SQLITE_OK
            && let Some(disk) = &seen.disk
        {
            disk.truncated(&seen.path, n_bytes.cast_unsigned());
        }
        outcome
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: see above. The real file is not flushed: what is durable is the watched disk's business.
    unsafe {
        let seen = watched(file);
        if let Some(error) = failure(seen, Call::Sync, ffi::SQLITE_IOERR_FSYNC) {
            return error;
        }
        if let Some(disk) = &seen.disk {
            disk.synced(&seen.path);
        }
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, n_bytes: *mut i64) -> c_int {
    // SAFETY: see above.
    unsafe {
        match failure(watched(file), Call::Size, ffi::SQLITE_IOERR_FSTAT) {
            Some(error) => error,
            None => inner!(file, xFileSize, n_bytes),
        }
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, kind: c_int) -> c_int {
    // SAFETY: see above.
    unsafe {
        match failure(watched(file), Call::Lock, ffi::SQLITE_IOERR_LOCK) {
            Some(error) => error,
            None => inner!(file, xLock, kind),
        }
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, kind: c_int) -> c_int {
    // SAFETY: see above.
    unsafe { inner!(file, xUnlock, kind) }
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, found: *mut c_int) -> c_int {
    // SAFETY: see above.
    unsafe { inner!(file, xCheckReservedLock, found) }
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, what: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: see above.
    unsafe { inner!(file, xFileControl, what, argument) }
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    512
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    // It promises nothing: neither that writes are whole nor that their order is kept.
    0
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    page_bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: see above.
    unsafe {
        match failure(watched(file), Call::ShmMap, ffi::SQLITE_IOERR_SHMMAP) {
            Some(error) => {
                *out = std::ptr::null_mut();
                error
            }
            None => inner!(file, xShmMap, page, page_bytes, extend, out),
        }
    }
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    // SAFETY: see above.
    unsafe {
        // Giving a lock up never fails.
        let taking = flags & ffi::SQLITE_SHM_LOCK != 0;
        match taking.then(|| failure(watched(file), Call::ShmLock, ffi::SQLITE_IOERR_SHMLOCK)).flatten() {
            Some(error) => error,
            None => inner!(file, xShmLock, offset, n, flags),
        }
    }
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: see above.
    unsafe {
        let inner = inner(file);
        if let Some(barrier) = (*(*inner).pMethods).xShmBarrier {
            barrier(inner);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: see above.
    unsafe { inner!(file, xShmUnmap, delete) }
}
