//! The input and the output of a turn: a media type and bytes.

use crate::Failure;

/// A message that was accepted for this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The media type from the sender, `application/octet-stream` by default. The body is not
    /// checked against it.
    pub content_type: String,
    /// The message itself, at most `input_bytes` long (4 MiB by default).
    pub body: Vec<u8>,
}

impl Input {
    /// Makes an input of any media type.
    pub fn new(content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { content_type: content_type.into(), body: body.into() }
    }

    /// Makes an input of type `text/plain; charset=utf-8`.
    pub fn text_plain(text: impl Into<String>) -> Self {
        Self::new(TEXT, text.into())
    }

    /// Returns the body as text, whatever its media type.
    ///
    /// # Errors
    /// A [`Failure`] with the code `not-text` if the body is not UTF-8.
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
    /// The answer itself, at most `output_bytes` long (4 MiB by default).
    pub body: Vec<u8>,
}

impl Output {
    /// Makes an answer of any media type.
    pub fn new(content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { content_type: content_type.into(), body: body.into() }
    }

    /// Makes an answer of type `text/plain; charset=utf-8`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(TEXT, text.into())
    }
}

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
