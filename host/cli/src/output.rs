//! The formats of a command's result.

use clap::ValueEnum;

/// The format of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Text for people
    #[value(alias = "table")]
    Text,
    /// One JSON object on standard output
    Json,
}
