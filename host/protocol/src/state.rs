//! A worker's state, as a person looks at it: keys with the beginnings of their values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Payload, Preview};

/// A request for a page of a worker's state.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListState {
    /// Prefix of the keys; none for all.
    pub prefix: Option<String>,
    /// Maximum number of items; 0 for the default of 100.
    pub limit: usize,
    /// Cursor of the previous page.
    pub cursor: Option<String>,
}

/// A key of a worker's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateItem {
    /// The key, chosen by the worker.
    pub key: String,
    /// The value, or its first 4 KiB.
    #[serde(flatten)]
    pub value: Payload,
    /// Length of the whole value in bytes.
    pub bytes: u64,
}

impl StateItem {
    /// Length from which a value is cut. It fills a screen.
    pub const SHOWN: usize = 4 << 10;

    /// Shows a key and value. A value has no media type, so it is bytes.
    pub fn of(key: String, value: &[u8]) -> Self {
        let shown = Preview::new(Self::SHOWN as u64).map_or(0, |preview| preview.of(value));
        let content_type = "application/octet-stream".to_owned();
        let body = value[..shown].to_vec().into();
        Self { key, value: Payload { content_type, body }, bytes: value.len() as u64 }
    }
}
