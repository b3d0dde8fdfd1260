//! What goes into a service and comes out of it.

/// Bytes with the media type that their sender claims for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
