//! Texts and labels that lists of workers are searched for.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::text::is_unsafe;

/// Maximum length of a searched text, in bytes: the longest label, with some room.
const SEARCH_BYTES: usize = 256;

/// A text to search for: 1 to 256 bytes, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct SearchText {
    given: String,
    lower: String,
}

impl SearchText {
    /// Returns true if a text contains the searched one, in any case of letters.
    pub fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.lower)
    }

    /// Returns the searched text in lower case.
    pub fn lower(&self) -> &str {
        &self.lower
    }

    /// Returns true if ids can contain the text.
    pub(super) fn may_be_in_id(&self) -> bool {
        self.lower.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-')
    }
}

impl FromStr for SearchText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !(1..=SEARCH_BYTES).contains(&text.len()) || text.chars().any(is_unsafe) {
            return Err(Invalid::Query);
        }
        Ok(Self { given: text.to_owned(), lower: text.to_lowercase() })
    }
}

impl TryFrom<String> for SearchText {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<SearchText> for String {
    fn from(text: SearchText) -> Self {
        text.given
    }
}

impl fmt::Display for SearchText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

/// A label that workers must have, written `key=value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct LabelFilter {
    /// Key of the label.
    pub key: String,
    /// Value of the label.
    pub value: String,
}

impl FromStr for LabelFilter {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (key, value) = text.split_once('=').ok_or(Invalid::Query)?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

impl TryFrom<String> for LabelFilter {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<LabelFilter> for String {
    fn from(label: LabelFilter) -> Self {
        label.to_string()
    }
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}
