//! The worker's durable keys and values. All that one turn writes is committed together with its
//! outcome, or not at all; reads see the turn's own writes.

use std::{fmt, vec};

use crate::host;

/// Why a key was not read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The key is empty or longer than 512 bytes.
    InvalidKey,
    /// The write would take the worker past `state_bytes`, keys and values counted together. The
    /// value is that limit.
    TooLarge(u64),
    /// [`get_string`] found bytes that are not UTF-8.
    NotText,
    /// The host could not reach its store. The text says what it was doing.
    Unavailable(String),
}

/// The value of a key, or `None`.
///
/// # Errors
/// [`Error::InvalidKey`], [`Error::Unavailable`].
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    host::state::get(key)
}

/// The value of a key as text, or `None`.
///
/// # Errors
/// [`Error::NotText`] where the value is not UTF-8, and those of [`get`].
pub fn get_string(key: &str) -> Result<Option<String>, Error> {
    get(key)?.map(|value| String::from_utf8(value).map_err(|_| Error::NotText)).transpose()
}

/// Sets a key to a value: bytes, or anything that can be looked at as bytes.
///
/// # Errors
/// [`Error::InvalidKey`], [`Error::TooLarge`], [`Error::Unavailable`].
pub fn set(key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
    host::state::set(key, value.as_ref())
}

/// Removes a key. Returns whether it was there.
///
/// # Errors
/// [`Error::InvalidKey`], [`Error::Unavailable`].
pub fn delete(key: &str) -> Result<bool, Error> {
    host::state::delete(key)
}

/// The keys that begin with `prefix` (all of them for `""`), in ascending order of their bytes.
/// The host is asked for a page of at most 1,000 keys whenever the last one is used up.
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

/// One answer of the host's: some keys, and where to go on.
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
