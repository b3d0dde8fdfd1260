//! The host as seen by a component: the WIT's imports in this crate's types.

use std::path::Path;

pub(crate) use crate::bindings::imports::skep::worker::{config, context};

pub(crate) fn data_dir() -> &'static Path {
    Path::new("/data")
}

pub(crate) mod state {
    use crate::bindings::imports::skep::worker::state as wit;
    use crate::state::{Error, Page};

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(wit::get(key)?)
    }

    pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), Error> {
        Ok(wit::set(key, value)?)
    }

    pub(crate) fn delete(key: &str) -> Result<bool, Error> {
        Ok(wit::delete(key)?)
    }

    pub(crate) fn list(prefix: &str, cursor: Option<&str>) -> Result<Page, Error> {
        let wit::Keys { keys, next } = wit::list(prefix, cursor)?;
        Ok(Page { keys, next })
    }

    impl From<wit::Error> for Error {
        fn from(error: wit::Error) -> Self {
            match error {
                wit::Error::InvalidKey => Self::InvalidKey,
                wit::Error::TooLarge(limit) => Self::TooLarge(limit),
                wit::Error::Unavailable(doing) => Self::Unavailable(doing),
            }
        }
    }
}

pub(crate) mod fetch {
    use crate::bindings::fetch::skep::worker::fetch as wit;
    use crate::fetch::{Error, Request, Response};

    pub(crate) fn send(request: &Request) -> Result<Response, Error> {
        let timeout_ms =
            request.timeout.map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        let wit::Response { status, headers, body } = wit::send(&wit::Request {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            timeout_ms,
        })?;
        let mut response = Response::new(status, body);
        response.headers = headers;
        Ok(response)
    }

    impl From<wit::Error> for Error {
        fn from(error: wit::Error) -> Self {
            match error {
                wit::Error::InvalidRequest(reason) => Self::InvalidRequest(reason),
                wit::Error::Denied(reason) => Self::Denied(reason),
                wit::Error::TooLarge(limit) => Self::TooLarge(limit),
                wit::Error::TimedOut => Self::TimedOut,
                wit::Error::Failed(reason) => Self::Failed(reason),
            }
        }
    }
}

pub(crate) mod transcript {
    use std::time::{Duration, SystemTime};

    use crate::bindings::imports::skep::worker::transcript as wit;
    use crate::transcript::{Entry, Error, Page};

    pub(crate) fn emit(kind: &str, content_type: &str, body: &[u8]) -> Result<(), Error> {
        Ok(wit::emit(kind, content_type, body)?)
    }

    pub(crate) fn read(after: u64, limit: u32) -> Result<Page, Error> {
        let wit::Page { entries, next } = wit::read(after, limit)?;
        Ok(Page { entries: entries.into_iter().map(Entry::from).collect(), next })
    }

    impl From<wit::Entry> for Entry {
        fn from(entry: wit::Entry) -> Self {
            Self {
                seq: entry.seq,
                at: SystemTime::UNIX_EPOCH + Duration::from_millis(entry.at_ms),
                kind: entry.kind,
                event: entry.event,
                input_id: entry.input_id,
                content_type: entry.content_type,
                body: entry.body,
            }
        }
    }

    impl From<wit::Error> for Error {
        fn from(error: wit::Error) -> Self {
            match error {
                wit::Error::TooLarge(limit) => Self::TooLarge(limit),
                wit::Error::TooMany(limit) => Self::TooMany(limit),
                wit::Error::InvalidKind => Self::InvalidKind,
                wit::Error::Unavailable(doing) => Self::Unavailable(doing),
            }
        }
    }
}
