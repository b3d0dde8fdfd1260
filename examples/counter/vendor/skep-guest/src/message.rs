//! What goes into a turn and what comes out of it: a media type and bytes.

use crate::Failure;

/// A message that was accepted for this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The media type the sender gave, `application/octet-stream` where it gave none. It is the
    /// sender's claim: nothing has checked the body against it.
    pub content_type: String,
    /// The message itself, at most `input_bytes` long (4 MiB unless the operator says otherwise).
    pub body: Vec<u8>,
}

impl Input {
    /// An input of any media type.
    pub fn new(content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { content_type: content_type.into(), body: body.into() }
    }

    /// An input of type `text/plain; charset=utf-8`.
    pub fn text_plain(text: impl Into<String>) -> Self {
        Self::new(TEXT, text.into())
    }

    /// The body as text, whatever its media type says.
    ///
    /// # Errors
    /// A [`Failure`] with the code `not-text` where the body is not UTF-8.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Failure::new("not-text", format!("the body is not text: {error}")))
    }
}

/// The answer to an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The media type of `body`.
    pub content_type: String,
    /// The answer itself, at most `output_bytes` long (4 MiB unless the operator says otherwise).
    pub body: Vec<u8>,
}

impl Output {
    /// An answer of any media type.
    pub fn new(content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { content_type: content_type.into(), body: body.into() }
    }

    /// An answer of type `text/plain; charset=utf-8`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(TEXT, text.into())
    }
}

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
