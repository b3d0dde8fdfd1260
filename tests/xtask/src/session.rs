//! A shell session with the built `skep` first on the PATH, for the demo, the README's picture and
//! the tests of the docs.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::guests::{self, run};
use crate::{Error, tree};

/// The bound on a command on its own terminal.
const PATIENCE: Duration = Duration::from_secs(600);

/// A folder in which commands run one after another.
pub struct Session {
    folder: PathBuf,
    path: OsString,
}

/// The terminal output and the exit status of a command.
pub struct Shown {
    /// Both streams in order, with the escape sequences of colours.
    pub text: String,
    /// The exit status.
    pub status: ExitStatus,
}

impl Session {
    /// Builds `skep` and starts in this folder, which must exist.
    ///
    /// The dev profile: a release build takes minutes longer, and the hot paths of a run are
    /// optimised in both.
    ///
    /// # Errors
    /// [`Error::Failed`] with the compiler's messages.
    pub fn start(folder: PathBuf) -> Result<Self, Error> {
        let mut build = Command::new("cargo");
        build
            .args(["build", "--locked", "--workspace", "--bin", "skep", "--target-dir", "target"])
            .current_dir(tree::root());
        if io::stderr().is_terminal() {
            // Cargo shows its progress bar.
            let status = build.status();
            let failed = || Error::Step("building skep");
            status.ok().filter(|status| status.success()).ok_or_else(failed)?;
        } else {
            run(build.arg("--quiet"), "building skep")?;
        }
        let mut path = tree::root().join("target/debug").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        Ok(Self { folder, path })
    }

    /// Copies these guests' components into the folder, built if they are out of date.
    ///
    /// # Errors
    /// Those of [`guests::ensure_components`], and [`Error::File`].
    pub fn bring(&self, names: &[&str]) -> Result<(), Error> {
        guests::ensure_components(names)?;
        for name in names {
            self.copy(&guests::folder().join(format!("{name}.wasm")))?;
        }
        Ok(())
    }

    /// Copies a file into the folder.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn copy(&self, file: &Path) -> Result<(), Error> {
        let name = file.file_name().expect("a file has a name");
        fs::copy(file, self.folder.join(name)).map_err(Error::file("copying", file))?;
        Ok(())
    }

    /// Changes to a subfolder.
    pub fn enter(&mut self, folder: &str) {
        self.folder.push(folder);
    }

    /// Runs a command on this process's own terminal. Without one, prints what a terminal would
    /// have shown: programs print less to a pipe, and two pipes lose the order of the lines.
    ///
    /// # Errors
    /// Those of [`Session::capture`].
    pub fn show(&self, command: &str) -> Result<ExitStatus, Error> {
        let not_started = |source| Error::NotStarted { what: command.to_owned(), source };
        let mut stdout = io::stdout();
        if stdout.is_terminal() {
            return self.shell(command).stderr(stdout).status().map_err(not_started);
        }
        let shown = self.capture(command)?;
        stdout.write_all(shown.plain().as_bytes()).map_err(Error::file("writing", "stdout"))?;
        Ok(shown.status)
    }

    /// Runs a command on a new terminal and returns its output.
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::File`] if no terminal can be opened, and [`Error::Endless`]
    /// after ten minutes.
    pub fn capture(&self, command: &str) -> Result<Shown, Error> {
        let (mut screen, terminal) =
            pseudoterminal().map_err(Error::file("opening", "/dev/ptmx"))?;
        let clone = || terminal.try_clone().map_err(Error::file("opening", "/dev/pts"));
        let mut shell = self.shell(command);
        shell
            .stdin(Stdio::null())
            .stdout(clone()?)
            .stderr(clone()?)
            // Compiled code is kept between runs, and no progress is drawn over the text.
            .env("XDG_CACHE_HOME", tree::root().join("target/test-cache"))
            // Results of pipelines are those of this session alone.
            .env("SKEP_CI_CACHE", self.folder.join(".ci"))
            .env("SKEP_TOOLS", tree::root().join("target/author-tools"))
            .env("TERM", "dumb");
        for name in ["NO_COLOR", "SKEP_LOG", "SKEP_LOG_FORMAT"] {
            shell.env_remove(name);
        }
        let not_started = |source| Error::NotStarted { what: command.to_owned(), source };
        let mut child = shell.spawn().map_err(not_started)?;
        // The terminal ends once its last holder is gone, so it must not be held here.
        drop((shell, terminal));
        let mut shown = Vec::new();
        let left = read_until(&mut screen, &mut shown, Instant::now() + PATIENCE);
        let left = left.map_err(Error::file("reading", "/dev/ptmx"))?;
        let text = String::from_utf8_lossy(&shown).replace("\r\n", "\n");
        if !left {
            // The shell may be gone while its children stay.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::Endless { command: command.to_owned(), within: PATIENCE, text });
        }
        let status = child.wait().map_err(not_started)?;
        Ok(Shown { text, status })
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&self.folder).env("PATH", &self.path);
        shell
    }
}

impl Shown {
    /// Returns the text without colours.
    pub fn plain(&self) -> String {
        let mut plain = String::new();
        let mut rest = self.text.as_str();
        while let Some((before, after)) = rest.split_once("\x1b[") {
            plain.push_str(before);
            rest = after.split_once('m').map_or("", |(_, after)| after);
        }
        plain + rest
    }
}

/// Reads a screen until every process has closed the terminal, or until the deadline. Returns true
/// in the first case.
fn read_until(screen: &mut File, shown: &mut Vec<u8>, until: Instant) -> io::Result<bool> {
    let mut piece = [0; 4 << 10];
    loop {
        let time = until.saturating_duration_since(Instant::now());
        let time = Timespec::try_from(time).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&*screen, PollFlags::IN)], Some(&time)) {
            Ok(0) => return Ok(false),
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
            Ok(_) => {}
        }
        match screen.read(&mut piece) {
            Ok(0) => return Ok(true),
            Ok(length) => shown.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A terminal without any open end reads as an error.
            Err(_) => return Ok(true),
        }
    }
}

/// Opens a pseudoterminal: the screen, and the end for a program.
fn pseudoterminal() -> io::Result<(File, File)> {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&screen)?;
    unlockpt(&screen)?;
    let name = OsString::from_vec(ptsname(&screen, Vec::new())?.into_bytes());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(Path::new(&name), flags, Mode::empty())?;
    tcsetwinsize(&terminal, Winsize { ws_row: 50, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 })?;
    Ok((screen.into(), terminal.into()))
}
