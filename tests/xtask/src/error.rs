//! Why a chore did not get done.

use std::io;
use std::path::PathBuf;

/// Why a chore did not get done. The message says what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no compiler for guests, nor a way to get one.
    #[error(
        "no compiler for {target} on this machine: {why}\n\
         to get one, run: rustup target add wasm32-wasip2 wasm32-wasip1"
    )]
    NoToolchain {
        /// The target's name.
        target: &'static str,
        /// What was tried last.
        why: String,
    },
    /// A program that a chore runs failed.
    #[error("{what} failed ({status})\n{output}")]
    Failed {
        /// What it was to do.
        what: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it printed.
        output: String,
    },
    /// A program that a chore runs could not be started.
    #[error("{what} could not be started")]
    NotStarted {
        /// What it was to do.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What a build left behind is not what it was asked for.
    #[error("{} is not a {expected}", path.display())]
    WrongArtifact {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// A guest of that name is not in the table.
    #[error("there is no guest {0:?}")]
    UnknownGuest(String),
    /// There is no npm, nor a way to get it.
    #[error("no npm on this machine: {0}\ninstall it with Node.js from https://nodejs.org")]
    NoNpm(String),
    /// There is no such program, nor a way to get it.
    #[error("no {0} on this machine: {1}\ninstall it with your system's package manager")]
    NoProgram(String, String),
    /// A package holds another file than the one whose digest is in the table.
    #[error("{file} of {spec} is not the one that was checked: sha256 {found}, not {expected}")]
    WrongDigest {
        /// The package and its version.
        spec: String,
        /// The file in it.
        file: &'static str,
        /// What the table says.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// There is no such fuzz target.
    #[error("there is no such target; there are {known}")]
    UnknownTarget {
        /// Those that there are.
        known: String,
    },
    /// A fuzz target found something.
    #[error(
        "{target} failed; what it said is in {}, and the bytes in the folder `found` beside it",
        log.display()
    )]
    Fuzzed {
        /// Which.
        target: String,
        /// Its log.
        log: PathBuf,
    },
    /// A command ended in another way than the demo says.
    #[error("`{command}` ended with {found} where {expected} was to be shown")]
    OtherEnd {
        /// As typed.
        command: String,
        /// The exit code that was to come.
        expected: i32,
        /// How it ended.
        found: std::process::ExitStatus,
    },
    /// A command was given up.
    #[error("`{command}` has not ended within {within:?}; until then it showed:\n{text}")]
    Endless {
        /// As typed.
        command: String,
        /// How long it was given.
        within: std::time::Duration,
        /// What it had printed.
        text: String,
    },
    /// A step of the test suite failed; it printed why.
    #[error("{0} failed; what it printed is above")]
    Step(&'static str),
    /// A file could not be read or written.
    #[error("{doing} {}", path.display())]
    File {
        /// The verb, in -ing.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Says it on standard error, with what caused it.
    pub fn show(&self) {
        eprintln!("error: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            eprintln!("  because: {error}");
            cause = error.source();
        }
    }

    /// For `map_err` on a file operation.
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
