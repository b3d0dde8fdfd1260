//! What goes into a service and comes out of it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes with the media type that their sender claims for them.
///
/// In JSON `{"content_type", "body"}` where they are UTF-8, `{"content_type", "body_base64"}` where
/// they are not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "Written", try_from = "Written")]
pub struct Payload {
    /// The media type; not checked against the body.
    pub content_type: String,
    /// The message itself.
    pub body: Vec<u8>,
}

/// A worker's own word for why it did not handle an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A short stable word to match on.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Written {
    #[serde(default)]
    content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// The text is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not base64")]
pub struct Base64Error;

/// Bytes as JSON has them: as text where they are UTF-8, in base64 where they are not.
pub(crate) fn to_text(bytes: Vec<u8>) -> (Option<String>, Option<String>) {
    match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
    }
}

/// The other way round.
pub(crate) fn from_text(
    text: Option<String>,
    base64: Option<String>,
) -> Result<Vec<u8>, Base64Error> {
    match (text, base64) {
        (_, Some(base64)) => BASE64_STANDARD.decode(base64).map_err(|_| Base64Error),
        (text, None) => Ok(text.unwrap_or_default().into_bytes()),
    }
}

impl From<Payload> for Written {
    fn from(payload: Payload) -> Self {
        let (body, body_base64) = to_text(payload.body);
        Self { content_type: payload.content_type, body, body_base64 }
    }
}

impl TryFrom<Written> for Payload {
    type Error = Base64Error;

    fn try_from(written: Written) -> Result<Self, Base64Error> {
        let body = from_text(written.body, written.body_base64)?;
        Ok(Self { content_type: written.content_type, body })
    }
}
