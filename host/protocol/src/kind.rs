//! The kind of a component, decided by its exports.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The three kinds of worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    /// Exports `skep:worker/handler`: handles inputs one by one and keeps state between them.
    Service,
    /// Exports `wasi:cli/run`, or is a WASI preview1 module: each input is one run of the program.
    Command,
    /// Exports `skep:worker/web` or `wasi:http/incoming-handler`.
    Http,
}

impl ComponentKind {
    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Command => "command",
            Self::Http => "http",
        }
    }
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ComponentKind {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut all = [Self::Service, Self::Command, Self::Http].into_iter();
        all.find(|kind| kind.as_str() == text).ok_or(Invalid::Query)
    }
}
