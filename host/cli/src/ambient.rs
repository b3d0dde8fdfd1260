//! Access to the machine by name. `ambient_authority()` is called here and nowhere else: every
//! other part of Skep works with the handles that come from here.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Returns this program, to be started again as a child: the very file that runs, also where another
/// one has its name by now. Without `/proc` it is the one that was started.
pub(crate) fn program() -> PathBuf {
    if has_proc() {
        return PathBuf::from(THIS);
    }
    let started = rustix::param::linux_execfn();
    let started = PathBuf::from(OsStr::from_bytes(started.to_bytes()));
    std::path::absolute(&started).unwrap_or(started)
}

/// Tells whether `/proc` is there.
pub(crate) fn has_proc() -> bool {
    Path::new(THIS).symlink_metadata().is_ok()
}

/// The file that this process runs.
const THIS: &str = "/proc/self/exe";

/// Opens a directory that the operator named.
pub(crate) fn open_dir(path: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority())
}

/// Opens a directory that the operator named, making it where it is missing.
pub(crate) fn create_dir(path: &Path) -> io::Result<Dir> {
    match open_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Dir::create_ambient_dir_all(path, ambient_authority())?;
            open_dir(path)
        }
        opened => opened,
    }
}

/// The cache of compiled components: `<user cache>/skep/compiled`, for this user alone.
pub(crate) fn compiled_cache() -> io::Result<Dir> {
    private_dir(&user_cache()?, "compiled")
}

fn user_cache() -> io::Result<Dir> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let cache = cache
        .ok_or_else(|| io::Error::other("neither XDG_CACHE_HOME nor HOME names a directory"))?;
    create_dir(&cache.join("skep"))
}

/// The system's directory for temporary files. An empty `TMPDIR` is none.
pub(crate) fn temporary_files() -> PathBuf {
    match std::env::var_os("TMPDIR") {
        Some(path) if !path.is_empty() => path.into(),
        _ => "/tmp".into(),
    }
}

/// A store's directory, for this user alone where it is new.
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

/// Where this user's foreground runs say that they are there: `<user cache>/skep/runs`.
pub(crate) fn local_runs() -> io::Result<Dir> {
    private_dir(&user_cache()?, "runs")
}

/// Keeps what this process makes open to its own user, whatever the umask says. A directory that its
/// owner cannot enter holds no store, no cache and no guest's files.
pub(crate) fn keep_own_permissions() {
    let inherited = rustix::process::umask(Mode::RWXU);
    rustix::process::umask(inherited - Mode::RWXU);
}

/// Makes a write past the limit on file sizes (`ulimit -f`) fail as any other, where the system would
/// end the process, and with it whatever else it hosts.
#[expect(unsafe_code, reason = "no crate in use sets what a signal does")]
pub(crate) fn survive_file_size_limit() {
    // SAFETY: to ignore a signal installs no handler. Nothing else here uses this one.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Lets this process have as many descriptors as it can be let; how many that are.
pub(crate) fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, it has what it had.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The memory that this process may have, in bytes: the machine's, or its control group's where
/// that is less.
pub(crate) fn memory_bytes() -> u64 {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        kibibytes.checked_mul(1 << 10)
    });
    // In a container its own group is the root. `max` is no number.
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(group).min().unwrap_or(8 << 30)
}

/// Ten random bytes.
pub(crate) fn random() -> io::Result<[u8; 10]> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(random)
}

/// A new id of a runtime or host: a word and 80 random bits.
pub(crate) fn new_id<T: FromStr>(word: &str) -> io::Result<T> {
    let random = random()?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{word}-{digits}").parse().map_err(|_| io::Error::other("an id that is not one"))
}

fn private_dir(parent: &Dir, name: impl AsRef<Path>) -> io::Result<Dir> {
    let mut private = DirBuilder::new();
    private.mode(0o700);
    match parent.create_dir_with(&name, &private) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    parent.open_dir(&name)
}
