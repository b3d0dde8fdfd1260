//! Messages to and from a service, and their form in JSON.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// Bytes with the media type that their sender claims for them.
///
/// In JSON `{"content_type", "body"}` if they are UTF-8, else `{"content_type", "body_base64"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Written<'static>")]
#[schemars(into = "Written<'static>")]
pub struct Payload {
    /// The media type; not checked against the body.
    pub content_type: String,
    /// The message itself. Clones share it.
    pub body: Bytes,
}

/// A worker's own reason for not handling an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A short stable word to match on.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Written<'a> {
    #[serde(default)]
    content_type: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<Cow<'a, str>>,
}

/// The text is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not base64")]
pub struct Base64Error;

/// Returns bytes as JSON has them: as text if they are UTF-8, else in base64.
pub(crate) fn to_text(bytes: &[u8]) -> (Option<Cow<'_, str>>, Option<Cow<'_, str>>) {
    match str::from_utf8(bytes) {
        Ok(text) => (Some(text.into()), None),
        Err(_) => (None, Some(BASE64_STANDARD.encode(bytes).into())),
    }
}

/// Reverses [`to_text`].
pub(crate) fn from_text(
    text: Option<String>,
    base64: Option<String>,
) -> Result<Vec<u8>, Base64Error> {
    match (text, base64) {
        (_, Some(base64)) => BASE64_STANDARD.decode(base64).map_err(|_| Base64Error),
        (text, None) => Ok(text.unwrap_or_default().into_bytes()),
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (body, body_base64) = to_text(&self.body);
        let content_type = Cow::Borrowed(&*self.content_type);
        Written { content_type, body, body_base64 }.serialize(serializer)
    }
}

impl TryFrom<Written<'static>> for Payload {
    type Error = Base64Error;

    fn try_from(written: Written<'static>) -> Result<Self, Base64Error> {
        let owned = |text: Option<Cow<'static, str>>| text.map(Cow::into_owned);
        let body = from_text(owned(written.body), owned(written.body_base64))?.into();
        Ok(Self { content_type: written.content_type.into_owned(), body })
    }
}
