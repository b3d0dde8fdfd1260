//! The languages of guests, and the files that each has in a project.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::embedded::{self, Files};

/// A language that `skep new` has a template for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust, built by cargo for `wasm32-wasip2`.
    Rust,
    /// JavaScript or TypeScript, on QuickJS.
    Js,
    /// Python, on CPython.
    Python,
    /// C, built by clang.
    C,
}

/// The kind of a worker, by what its component exports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Handles inputs one by one and keeps state.
    #[default]
    Service,
    /// A program with arguments, standard input and an exit code.
    Command,
    /// Handles HTTP requests with whole bodies.
    Web,
}

impl Kind {
    /// Returns the name in manifests and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Command => "command",
            Self::Web => "web",
        }
    }
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 4] = [Self::Rust, Self::Js, Self::Python, Self::C];

    /// Returns the name in manifests and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Js => "js",
            Self::Python => "python",
            Self::C => "c",
        }
    }

    /// Returns the entry of a project that names none.
    pub fn default_entry(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Js => "src/worker.js",
            Self::Python => "src/worker.py",
            Self::C => "src/worker.c",
        }
    }

    /// Returns true if `skep dev` can evaluate the source in a runner instead of building.
    pub fn has_runner(self) -> bool {
        matches!(self, Self::Js | Self::Python)
    }

    /// Returns the files of the SDK that a build needs in the project. Rust has its SDK as a crate
    /// of the template.
    pub(crate) fn sdk(self) -> Files {
        match self {
            Self::Rust => &[],
            Self::Js => embedded::SDK_JS,
            Self::Python => embedded::SDK_PYTHON,
            Self::C => embedded::SDK_C,
        }
    }

    /// Returns the template of a kind of worker, and the name that its files use, if there is one.
    pub(crate) fn template(self, kind: Kind) -> Option<(Files, &'static str)> {
        match (self, kind) {
            (Self::Rust, Kind::Service) => Some((embedded::COUNTER_RUST, "counter")),
            (Self::Rust, Kind::Command) => Some((embedded::HELLO_RUST, "hello")),
            (Self::Js, Kind::Service) => Some((embedded::COUNTER_JS, "counter-js")),
            (Self::Python, Kind::Service) => Some((embedded::COUNTER_PYTHON, "counter-python")),
            (Self::C, Kind::Service) => Some((embedded::COUNTER_C, "counter-c")),
            (Self::Rust, Kind::Web) => Some((embedded::WEB_RUST, "web")),
            (Self::Js, Kind::Web) => Some((embedded::WEB_JS, "web-js")),
            (Self::Python, Kind::Web) => Some((embedded::WEB_PYTHON, "web-python")),
            (Self::Js | Self::Python | Self::C, Kind::Command) | (Self::C, Kind::Web) => None,
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
