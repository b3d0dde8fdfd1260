//! Access rights to a directory.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Read-only or read-write access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rights {
    /// Nothing below the directory can be changed.
    #[serde(rename = "ro")]
    ReadOnly,
    /// Everything below the directory can be changed, within its quota.
    #[serde(rename = "rw")]
    ReadWrite,
}

impl Rights {
    /// Returns true if writing is allowed.
    pub const fn can_write(self) -> bool {
        matches!(self, Self::ReadWrite)
    }
}

/// The error for text that is neither `ro` nor `rw`.
#[derive(Debug, thiserror::Error)]
#[error("rights are `ro` or `rw`")]
pub struct RightsError;

impl FromStr for Rights {
    type Err = RightsError;

    fn from_str(text: &str) -> Result<Self, RightsError> {
        match text {
            "ro" => Ok(Self::ReadOnly),
            "rw" => Ok(Self::ReadWrite),
            _ => Err(RightsError),
        }
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "ro",
            Self::ReadWrite => "rw",
        })
    }
}
