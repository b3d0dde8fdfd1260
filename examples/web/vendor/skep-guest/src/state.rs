//! The worker's durable keys and values. All writes of a turn are committed together with its
//! outcome, or not at all; reads see the turn's own writes.

use std::{fmt, vec};

use crate::host;

/// The reason why a key was not read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The key is empty or longer than 512 bytes.
    InvalidKey,
    /// The write would exceed `state_bytes`, which counts keys and values together. The value is
    /// that limit.
    TooLarge(u64),
    /// [`get_string`] found bytes that are not UTF-8.
    NotText,
    /// The host could not reach its store. The text names the operation.
    Unavailable(String),
}

/// Returns the value of a key, or `None`.
///
/// # Errors
/// [`Error::InvalidKey`], [`Error::Unavailable`].
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    host::state::get(key)
}

/// Returns the value of a key as text, or `None`.
///
/// # Errors
/// [`Error::NotText`] if the value is not UTF-8, and those of [`get`].
pub fn get_string(key: &str) -> Result<Option<String>, Error> {
    get(key)?.map(|value| String::from_utf8(value).map_err(|_| Error::NotText)).transpose()
}

/// Sets a key to a value of bytes, text or anything else that is `AsRef<[u8]>`.
///
/// # Errors
/// [`Error::InvalidKey`], [`Error::TooLarge`], [`Error::Unavailable`].
pub fn set(key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
    host::state::set(key, value.as_ref())
}

/// Removes a key. Returns true if it existed.
///
/// # Errors
/// [`Error::InvalidKey`], [`Error::Unavailable`].
pub fn delete(key: &str) -> Result<bool, Error> {
    host::state::delete(key)
}

/// Lists the keys that begin with `prefix` (all of them for `""`), in ascending order of their
/// bytes. The keys are fetched from the host in pages of at most 1,000.
pub fn list(prefix: &str) -> Keys {
    Keys { prefix: prefix.to_owned(), page: Vec::new().into_iter(), next: Next::First }
}

/// The iterator of [`list`]. It ends after the first error.
#[derive(Debug)]
pub struct Keys {
    prefix: String,
    page: vec::IntoIter<String>,
    next: Next,
}

/// A page of keys, and the cursor of the next one.
pub(crate) struct Page {
    pub(crate) keys: Vec<String>,
    pub(crate) next: Option<String>,
}

#[derive(Debug)]
enum Next {
    First,
    After(String),
    End,
}

impl Iterator for Keys {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(key) = self.page.next() {
                return Some(Ok(key));
            }
            let cursor = match std::mem::replace(&mut self.next, Next::End) {
                Next::First => None,
                Next::After(cursor) => Some(cursor),
                Next::End => return None,
            };
            match host::state::list(&self.prefix, cursor.as_deref()) {
                Ok(Page { keys, next }) => {
                    self.page = keys.into_iter();
                    self.next = next.map_or(Next::End, Next::After);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl std::iter::FusedIterator for Keys {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidKey => f.write_str("the state key is empty or longer than 512 bytes"),
            Self::TooLarge(limit) => {
                write!(f, "the write would take the state past its limit of {limit} bytes")
            }
            Self::NotText => f.write_str("the state value is not text"),
            Self::Unavailable(doing) => write!(f, "the state is unavailable: {doing}"),
        }
    }
}

impl std::error::Error for Error {}
