//! The errors of the development tasks.

use std::io;
use std::path::PathBuf;

/// The error of a task. The message names the next step if there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no compiler for guests, and none can be installed.
    #[error(
        "no compiler for {target} on this machine: {why}\n\
         to get one, run: rustup target add wasm32-wasip2 wasm32-wasip1"
    )]
    NoToolchain {
        /// The target's name.
        target: &'static str,
        /// The reason.
        why: String,
    },
    /// A program that a task runs failed.
    #[error("{what} failed ({status})\n{output}")]
    Failed {
        /// Its purpose.
        what: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// Its output.
        output: String,
    },
    /// A program that a task runs could not be started.
    #[error("{what} could not be started")]
    NotStarted {
        /// Its purpose.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A build produced another kind of file than requested.
    #[error("{} is not a {expected}", path.display())]
    WrongArtifact {
        /// The file.
        path: PathBuf,
        /// The expected kind.
        expected: &'static str,
    },
    /// The table has no guest of that name.
    #[error("there is no guest {0:?}")]
    UnknownGuest(String),
    /// There is no npm, and it cannot be installed.
    #[error("no npm on this machine: {0}\ninstall it with Node.js from https://nodejs.org")]
    NoNpm(String),
    /// A program is missing and cannot be installed.
    #[error("no {0} on this machine: {1}\ninstall it with your system's package manager")]
    NoProgram(String, String),
    /// A file of a package does not have the digest in the table.
    #[error("{file} of {spec} has another digest: sha256 {found}, expected {expected}")]
    WrongDigest {
        /// The package and its version.
        spec: String,
        /// The file in the package.
        file: &'static str,
        /// The digest in the table.
        expected: &'static str,
        /// The digest found.
        found: String,
    },
    /// The registry has another crate of that name and version than the one in the table.
    #[error("{what} has another checksum in the registry than in tests/xtask/src/crates.rs")]
    WrongChecksum {
        /// The crate and its version.
        what: String,
    },
    /// Paths take more instructions than before, or cannot be counted.
    #[error("{0}\nif that is meant, write the new counts with: cargo xtask counts --renew")]
    Counts(String),
    /// There is no fuzz target of that name.
    #[error("unknown target; the targets are {known}")]
    UnknownTarget {
        /// The known targets.
        known: String,
    },
    /// A fuzz target failed.
    #[error(
        "{target} failed; its log is {}, and the bytes are in the folder `found` beside it",
        log.display()
    )]
    Fuzzed {
        /// The target.
        target: String,
        /// Its log.
        log: PathBuf,
    },
    /// A command of the demo had another exit code than stated.
    #[error("`{command}` ended with {found}, expected {expected}")]
    OtherEnd {
        /// The command as typed.
        command: String,
        /// The expected exit code.
        expected: i32,
        /// The exit status.
        found: std::process::ExitStatus,
    },
    /// A command timed out.
    #[error("`{command}` has not ended within {within:?}; its output was:\n{text}")]
    Endless {
        /// The command as typed.
        command: String,
        /// The timeout.
        within: std::time::Duration,
        /// The output until then.
        text: String,
    },
    /// There is no step of that name.
    #[error("unknown step {name:?}; the steps are {known}")]
    UnknownStep {
        /// The name.
        name: String,
        /// The known names.
        known: String,
    },
    /// A step of the test suite failed; its output has the reason.
    #[error("{0} failed; see its output above")]
    Step(&'static str),
    /// Not every browser test ran.
    #[error(
        "not every browser test ran: {0}; a missing tool is a failure here, not a reason to skip"
    )]
    NotTested(String),
    /// A file could not be read or written.
    #[error("{doing} {}", path.display())]
    File {
        /// The verb, as a participle.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Prints the error and its causes on standard error.
    pub fn show(&self) {
        eprintln!("error: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            eprintln!("  because: {error}");
            cause = error.source();
        }
    }

    /// Returns an adapter for `map_err` on a file operation.
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
