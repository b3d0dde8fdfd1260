//! A disk that fails on request, between SQLite and the real one.
//!
//! It counts the operations that can lose data (open, read, write, sync, truncate, delete) and
//! makes one of them, or all from one on, fail: with an error, as full, or after half of a write.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::ffi;

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An I/O error, as on a broken disk.
    Io,
    /// A full disk. Reads still work.
    Full,
    /// A write is half done and then fails; other operations fail as [`Fault::Io`].
    Short,
}

/// The schedule of failures.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first operation to fail, from 1.
    pub at: u64,
    /// The kind of failure.
    pub fault: Fault,
    /// True if all later operations fail as well.
    pub lasting: bool,
}

/// A faulty disk, registered with SQLite as [`FaultyDisk::name`].
pub struct FaultyDisk {
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    operations: u64,
    failed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Open,
    Read,
    Write,
    Sync,
    Truncate,
    Delete,
}

impl FaultyDisk {
    /// Registers a disk. Like all that SQLite is given, it lives until the process ends.
    pub fn register() -> &'static Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("faulty-disk-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let disk = Box::leak(Box::new(Self { name, state: Mutex::default() }));
        register(disk);
        disk
    }

    /// Returns its name for SQLite.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts to count operations and to fail as planned.
    pub fn fail(&self, plan: Plan) {
        *self.state() = State { plan: Some(plan), ..State::default() };
    }

    /// Stops failing. Returns the number of failed operations.
    pub fn mend(&self) -> u64 {
        let mut state = self.state();
        state.plan = None;
        state.failed
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the fault for this operation, if any.
    fn next(&self, operation: Operation) -> Option<Fault> {
        let mut state = self.state();
        let plan = state.plan?;
        if plan.fault == Fault::Full && operation == Operation::Read {
            return None;
        }
        state.operations += 1;
        let now = state.operations;
        let fails = now == plan.at || (plan.lasting && now > plan.at);
        state.failed += u64::from(fails);
        fails.then_some(plan.fault)
    }
}

/// Returns SQLite's code for a fault.
fn code(operation: Operation, fault: Fault) -> c_int {
    match (operation, fault) {
        (Operation::Write | Operation::Truncate, Fault::Full) => ffi::SQLITE_FULL,
        (Operation::Open, _) => ffi::SQLITE_CANTOPEN,
        (Operation::Read, _) => ffi::SQLITE_IOERR_READ,
        (Operation::Write, _) => ffi::SQLITE_IOERR_WRITE,
        (Operation::Sync, _) => ffi::SQLITE_IOERR_FSYNC,
        (Operation::Truncate, _) => ffi::SQLITE_IOERR_TRUNCATE,
        (Operation::Delete, _) => ffi::SQLITE_IOERR_DELETE,
    }
}

/// The methods of an open file: first ours, as SQLite expects them, then our own data.
#[repr(C)]
struct Methods {
    ours: ffi::sqlite3_io_methods,
    real: *const ffi::sqlite3_io_methods,
    disk: &'static FaultyDisk,
}

/// The data of our file system.
struct System {
    real: *mut ffi::sqlite3_vfs,
    disk: &'static FaultyDisk,
}

#[expect(unsafe_code, reason = "SQLite's file layer is a table of C functions")]
fn register(disk: &'static FaultyDisk) {
    let name = CString::new(disk.name()).expect("the name has no zero byte").into_raw();
    // SAFETY: the default file system exists once SQLite is initialised. It is a plain table, so a
    // copy of it with some functions replaced is valid as well. The copy is never freed.
    unsafe {
        assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
        let real = ffi::sqlite3_vfs_find(std::ptr::null());
        assert!(!real.is_null(), "SQLite has a file system");
        let mut ours = std::ptr::read(real);
        ours.zName = name;
        ours.pAppData = Box::into_raw(Box::new(System { real, disk })).cast();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        let registered = ffi::sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 0);
        assert_eq!(registered, ffi::SQLITE_OK);
    }
}

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: `vfs` is the one of `register`. `file` has room for a file of the real system, which
    // fills it in; its functions never read the table through which they are called, so another
    // table can replace it.
    unsafe {
        let system = &*(*vfs).pAppData.cast::<System>();
        if let Some(fault) = system.disk.next(Operation::Open) {
            (*file).pMethods = std::ptr::null();
            return code(Operation::Open, fault);
        }
        let real_open = (*system.real).xOpen.expect("a file system opens files");
        let opened = real_open(system.real, name, file, flags, out_flags);
        let real = (*file).pMethods;
        if opened == ffi::SQLITE_OK && !real.is_null() {
            let mut ours = std::ptr::read(real);
            ours.xRead = Some(read);
            ours.xWrite = Some(write);
            ours.xSync = Some(sync);
            ours.xTruncate = Some(truncate);
            let methods = Box::leak(Box::new(Methods { ours, real, disk: system.disk }));
            (*file).pMethods = &raw const methods.ours;
        }
        opened
    }
}

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    // SAFETY: as in `open`.
    unsafe {
        let system = &*(*vfs).pAppData.cast::<System>();
        match system.disk.next(Operation::Delete) {
            Some(fault) => code(Operation::Delete, fault),
            None => {
                let real_delete = (*system.real).xDelete.expect("a file system deletes files");
                real_delete(system.real, name, sync_directory)
            }
        }
    }
}

/// Returns the real methods of a file, and the fault for this operation, if any.
///
/// # Safety
/// `file` was opened by `open` and is still open.
#[expect(unsafe_code, reason = "reads our own data behind SQLite's table")]
unsafe fn begin(
    file: *mut ffi::sqlite3_file,
    operation: Operation,
) -> (&'static ffi::sqlite3_io_methods, Option<Fault>) {
    // SAFETY: `open` stored a leaked `Methods` there, whose first field is the table that SQLite
    // sees.
    let methods = unsafe { &*(*file).pMethods.cast::<Methods>() };
    // SAFETY: the tables of SQLite's own file systems are static.
    (unsafe { &*methods.real }, methods.disk.next(operation))
}

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite calls this for files of `open`, with the arguments for the real function.
    unsafe {
        match begin(file, Operation::Read) {
            (_, Some(fault)) => code(Operation::Read, fault),
            (real, None) => real.xRead.expect("files are read")(file, to, length, at),
        }
    }
}

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: as in `read`; half of the bytes are within the buffer.
    unsafe {
        let (real, fault) = begin(file, Operation::Write);
        let real_write = real.xWrite.expect("files are written");
        let Some(fault) = fault else { return real_write(file, from, length, at) };
        if fault == Fault::Short {
            real_write(file, from, length / 2, at);
        }
        code(Operation::Write, fault)
    }
}

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: as in `read`.
    unsafe {
        match begin(file, Operation::Sync) {
            (_, Some(fault)) => code(Operation::Sync, fault),
            (real, None) => real.xSync.expect("files are synced")(file, flags),
        }
    }
}

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: ffi::sqlite3_int64) -> c_int {
    // SAFETY: as in `read`.
    unsafe {
        match begin(file, Operation::Truncate) {
            (_, Some(fault)) => code(Operation::Truncate, fault),
            (real, None) => real.xTruncate.expect("files are cut")(file, length),
        }
    }
}
