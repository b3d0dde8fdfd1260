//! The author's own programs: node, python, cargo and what their packages bring.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::ProjectError;

/// Lines that a failure repeats of a program's output.
const LAST_LINES: usize = 40;

/// A program that a build needs, and how to get it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// The sentence that tells how to install it.
    pub(crate) install: &'static str,
}

/// node, which bundles and componentizes JavaScript.
pub(crate) const NODE: Program =
    Program { name: "node", install: "install Node.js 18 or later (https://nodejs.org)" };

/// npm, which installs packages.
pub(crate) const NPM: Program =
    Program { name: "npm", install: "install Node.js 18 or later, which brings npm" };

/// python3, which makes the environment of the Python and C tools.
pub(crate) const PYTHON: Program = Program {
    name: "python3",
    install: "install Python 3.10 or later with venv (Debian: python3-venv)",
};

/// cargo, which builds Rust.
pub(crate) const CARGO: Program =
    Program { name: "cargo", install: "install Rust by rustup (https://rustup.rs)" };

impl Program {
    /// Finds the program in `PATH`.
    pub(crate) fn find(self) -> Result<PathBuf, ProjectError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|dir| dir.join(self.name));
        found.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            let message = format!("{} is not installed, or not in PATH", self.name);
            ProjectError::new("tool_missing", message).hint(self.install)
        })
    }
}

/// Runs a command. Each line that it prints goes to `line`; its exit code is returned.
pub(crate) fn run(
    command: &mut Command,
    line: &mut dyn FnMut(&str),
) -> Result<Finished, ProjectError> {
    let shown = shown(command);
    // One pipe for both streams keeps their lines in order.
    let (reader, writer) = std::io::pipe().map_err(failed(&shown))?;
    command.stdin(Stdio::null());
    command.stdout(writer.try_clone().map_err(failed(&shown))?).stderr(writer);
    let mut child = command.spawn().map_err(failed(&shown))?;
    // The command holds the pipe's writing end, which would keep the reader from its end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut last = Vec::new();
    for text in BufReader::new(reader).split(b'\n') {
        let text = text.map_err(failed(&shown))?;
        let text = String::from_utf8_lossy(&text).trim_end().to_owned();
        line(&text);
        if last.len() == LAST_LINES {
            last.remove(0);
        }
        last.push(text);
    }
    let status = child.wait().map_err(failed(&shown))?;
    Ok(Finished { shown, succeeded: status.success(), status: status.to_string(), last })
}

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The command's words.
    pub(crate) shown: String,
    /// True if it exited with 0.
    pub(crate) succeeded: bool,
    /// Its exit code or signal, as text.
    pub(crate) status: String,
    /// The last lines that it printed.
    pub(crate) last: Vec<String>,
}

fn failed(shown: &str) -> impl FnOnce(std::io::Error) -> ProjectError + use<> {
    let shown = shown.to_owned();
    move |error| ProjectError::new("tool_missing", format!("cannot run `{shown}`: {error}"))
}

/// Returns a command's words without the folders of its programs and scripts.
fn shown(command: &Command) -> String {
    let name = |word: &OsStr| match Path::new(word).file_name() {
        Some(name) if Path::new(word).is_absolute() => name.to_string_lossy().into_owned(),
        _ => word.to_string_lossy().into_owned(),
    };
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_arrive_in_order_with_the_exit_code() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; echo three; exit 3"]);
        let finished = run(&mut command, &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
        assert!(!finished.succeeded && finished.status.contains('3'), "{finished:?}");
        assert_eq!(finished.last, lines);
    }

    #[test]
    fn a_missing_program_is_named_with_the_way_to_get_it() {
        let missing = Program { name: "no-such-program", install: "install it" };
        let error = missing.find().unwrap_err();
        assert_eq!(error.code, "tool_missing");
        assert_eq!(error.message, "no-such-program is not installed, or not in PATH");
        assert_eq!(error.hint.as_deref(), Some("install it"));
    }
}
