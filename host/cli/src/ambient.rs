//! Access to the machine by name: paths, the environment and this process's limits.
//!
//! Only this file calls `ambient_authority()`. The other parts of Skep work with handles from here.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Returns the path to start this program again as a child. It leads to the file that is running,
/// even if another file has its name by now. Without `/proc`, it is the path of the first start.
pub(crate) fn program() -> PathBuf {
    if has_proc() {
        return PathBuf::from(THIS);
    }
    let started = rustix::param::linux_execfn();
    let started = PathBuf::from(OsStr::from_bytes(started.to_bytes()));
    std::path::absolute(&started).unwrap_or(started)
}

/// Returns true if `/proc` is mounted.
pub(crate) fn has_proc() -> bool {
    Path::new(THIS).symlink_metadata().is_ok()
}

/// The file that this process runs.
const THIS: &str = "/proc/self/exe";

/// Returns a variable of the operator's environment.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Returns the operator's environment.
pub(crate) fn variables() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

/// Returns the path of the working directory.
pub(crate) fn working_dir() -> io::Result<PathBuf> {
    std::env::current_dir()
}

/// Opens a directory that the operator named.
pub(crate) fn open_dir(path: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority())
}

/// Opens a directory that the operator named, creating it if it is missing.
pub(crate) fn create_dir(path: &Path) -> io::Result<Dir> {
    match open_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Dir::create_ambient_dir_all(path, ambient_authority())?;
            open_dir(path)
        }
        opened => opened,
    }
}

/// Opens the cache of compiled components, `<user cache>/skep/compiled`, with mode 0700.
pub(crate) fn compiled_cache() -> io::Result<Dir> {
    private_dir(&user_cache()?, "compiled")
}

/// Opens the records of hashed files, `<user cache>/skep/digests`, with mode 0700.
pub(crate) fn known_digests() -> io::Result<Dir> {
    private_dir(&user_cache()?, "digests")
}

/// Opens the cache of compiled functions, `<user cache>/skep/functions`, with mode 0700. It never is
/// a part of a project or a store, which could come from others.
pub(crate) fn function_cache() -> io::Result<Dir> {
    private_dir(&user_cache()?, "functions")
}

/// Opens the cache of `skep ci`, with mode 0700: `SKEP_CI_CACHE`, or `<user cache>/skep/ci`.
pub(crate) fn ci_cache() -> io::Result<Dir> {
    match std::env::var_os("SKEP_CI_CACHE").filter(|path| !path.is_empty()) {
        Some(path) => private_store(Path::new(&path)),
        None => private_dir(&user_cache()?, "ci"),
    }
}

/// Opens the cache of `skep ci` to read it; `None` while there is none.
pub(crate) fn existing_ci_cache() -> io::Result<Option<Dir>> {
    let path = match std::env::var_os("SKEP_CI_CACHE").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => match cache_path("ci") {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    match open_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn user_cache() -> io::Result<Dir> {
    let cache = cache_home()
        .ok_or_else(|| io::Error::other("neither XDG_CACHE_HOME nor HOME is an absolute path"))?;
    create_dir(&cache.join("skep"))
}

/// Returns the path of a folder in Skep's part of the user's cache, if the user has one.
pub(crate) fn cache_path(name: &str) -> Option<PathBuf> {
    cache_home().map(|cache| cache.join("skep").join(name))
}

fn cache_home() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))
}

/// Returns the system's directory for temporary files. An empty `TMPDIR` counts as unset.
pub(crate) fn temporary_files() -> PathBuf {
    match std::env::var_os("TMPDIR") {
        Some(path) if !path.is_empty() => path.into(),
        _ => "/tmp".into(),
    }
}

/// Opens the directory of a store. A new one has mode 0700.
pub(crate) fn private_store(path: &Path) -> io::Result<Dir> {
    if let Some(parent) = path.parent()
        && !parent.as_os_str().is_empty()
    {
        Dir::create_ambient_dir_all(parent, ambient_authority())?;
    }
    match path.file_name() {
        Some(name) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            private_dir(&open_dir(parent.unwrap_or(Path::new(".")))?, name)
        }
        None => open_dir(path),
    }
}

/// Makes a directory that only its owner can enter, and opens it.
///
/// # Errors
/// If it is there already, or cannot be made.
pub(crate) fn new_private_dir(path: &Path) -> io::Result<Dir> {
    let mut private = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
    private.create(path)?;
    open_dir(path)
}

/// Opens the directory in which this user's foreground runs are recorded, `<user cache>/skep/runs`.
pub(crate) fn local_runs() -> io::Result<Dir> {
    private_dir(&user_cache()?, "runs")
}

/// Clears the owner's bits of the umask, so that this process can use the files it creates. A
/// store, a cache and a guest's files all need a directory that its owner can enter.
pub(crate) fn keep_own_permissions() {
    let inherited = rustix::process::umask(Mode::RWXU);
    rustix::process::umask(inherited - Mode::RWXU);
}

/// Makes a write past the limit on file sizes (`ulimit -f`) return an error. By default the signal
/// would end the process and everything it hosts.
#[expect(unsafe_code, reason = "no crate in use can ignore a signal")]
pub(crate) fn survive_file_size_limit() {
    // SAFETY: ignoring a signal installs no handler, and nothing else in this program uses this
    // one.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Raises the limit on open descriptors as far as allowed, and returns the new limit.
pub(crate) fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // If this fails, the old limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns the memory that this process may use, in bytes: that of the machine or of its control
/// group, whichever is less.
pub(crate) fn memory_bytes() -> u64 {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        kibibytes.checked_mul(1 << 10)
    });
    // In a container, this is the container's own group. The value `max` does not parse and is
    // skipped.
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(group).min().unwrap_or(8 << 30)
}

/// Returns ten random bytes.
pub(crate) fn random() -> io::Result<[u8; 10]> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(random)
}

/// Creates an id of a runtime or host: a word and 80 random bits.
pub(crate) fn new_id<T: FromStr>(word: &str) -> io::Result<T> {
    let random = random()?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{word}-{digits}").parse().map_err(|_| io::Error::other("cannot create an id"))
}

pub(crate) fn private_dir(parent: &Dir, name: impl AsRef<Path>) -> io::Result<Dir> {
    let mut private = DirBuilder::new();
    private.mode(0o700);
    match parent.create_dir_with(&name, &private) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    parent.open_dir(&name)
}
