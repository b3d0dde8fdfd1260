//! The bearer token as a header, from text or from a file that may change at run time.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::HeaderValue;

use crate::endpoint::{EndpointError, Token};

/// Maximum size of a token file. Our tokens have about 80 bytes.
const LONGEST: u64 = 4 << 10;

/// The Authorization header.
pub(crate) struct Bearer {
    source: Token,
    held: Mutex<CachedHeader>,
}

struct CachedHeader {
    header: Option<HeaderValue>,
    stamp: Option<Stamp>,
}

/// Modification time and size of a file, to notice changes.
type Stamp = (Option<SystemTime>, u64);

enum Unreadable {
    Io(io::Error),
    Content,
}

impl Bearer {
    /// Reads the token.
    pub(crate) fn new(source: Token) -> Result<Self, EndpointError> {
        let held = match &source {
            Token::None => CachedHeader { header: None, stamp: None },
            Token::Text(text) => CachedHeader {
                header: Some(header(text).ok_or(EndpointError::Token)?),
                stamp: None,
            },
            Token::File(path) => read(path).map_err(|error| match error {
                Unreadable::Io(error) => EndpointError::TokenFile { path: path.clone(), error },
                Unreadable::Content => EndpointError::TokenFileContent(path.clone()),
            })?,
        };
        Ok(Self { source, held: Mutex::new(held) })
    }

    /// Returns the current header. If the file can no longer be read, the last token stays.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut held = self.held();
        if let Token::File(path) = &self.source {
            let stamp = fs::metadata(path).ok().map(|metadata| stamp(&metadata));
            if stamp.is_some() && stamp != held.stamp {
                reread(path, &mut held);
            }
        }
        held.header.clone()
    }

    /// Rereads the file. Returns true if its token differs from the refused one.
    pub(crate) fn renewed(&self, refused: Option<&HeaderValue>) -> bool {
        let mut held = self.held();
        if let Token::File(path) = &self.source {
            reread(path, &mut held);
        }
        held.header.as_ref() != refused
    }

    fn held(&self) -> MutexGuard<'_, CachedHeader> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reread(path: &Path, held: &mut CachedHeader) {
    match read(path) {
        Ok(read) => *held = read,
        Err(_) => tracing::warn!("cannot read the token file; the previous token stays in use"),
    }
}

fn read(path: &Path) -> Result<CachedHeader, Unreadable> {
    let mut file = fs::File::open(path).map_err(Unreadable::Io)?;
    let metadata = file.metadata().map_err(Unreadable::Io)?;
    if !metadata.is_file() {
        return Err(Unreadable::Content);
    }
    let mut text = String::new();
    let read = (&mut file).take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Unreadable::Content,
        _ => Unreadable::Io(error),
    })?;
    let header = header(text.trim()).ok_or(Unreadable::Content)?;
    Ok(CachedHeader { header: Some(header), stamp: Some(stamp(&metadata)) })
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.modified().ok(), metadata.len())
}

fn header(token: &str) -> Option<HeaderValue> {
    let plain = !token.is_empty() && token.bytes().all(|c| c.is_ascii_graphic());
    let header = plain.then(|| HeaderValue::from_str(&format!("Bearer {token}")).ok()).flatten();
    header.map(|mut header| {
        header.set_sensitive(true);
        header
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bearer: &Bearer) -> String {
        bearer.header().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "  one\n").unwrap();
        let bearer = Bearer::new(Token::File(path.clone())).unwrap();
        assert_eq!(shown(&bearer), "Bearer one");
        fs::write(&path, "second\n").unwrap();
        assert_eq!(shown(&bearer), "Bearer second");
        fs::remove_file(&path).unwrap();
        assert_eq!(shown(&bearer), "Bearer second");
        fs::write(&path, "two lines\nof text\n").unwrap();
        assert_eq!(shown(&bearer), "Bearer second");
    }

    #[test]
    fn a_refused_token_is_reread_even_if_the_file_looks_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "one").unwrap();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        let bearer = Bearer::new(Token::File(path.clone())).unwrap();
        let refused = bearer.header();
        assert!(!bearer.renewed(refused.as_ref()));
        fs::write(&path, "two").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
        assert_eq!(shown(&bearer), "Bearer one");
        assert!(bearer.renewed(refused.as_ref()));
        assert_eq!(shown(&bearer), "Bearer two");
    }

    #[test]
    fn a_malformed_token_is_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["", " ", "a b", "a\nb", "tökén"] {
            let path = dir.path().join("token");
            fs::write(&path, bad).unwrap();
            let refused = Bearer::new(Token::File(path)).err().unwrap();
            assert!(matches!(refused, EndpointError::TokenFileContent(_)), "{bad:?}");
            let refused = Bearer::new(Token::Text(bad.into())).err().unwrap();
            assert!(matches!(refused, EndpointError::Token), "{bad:?}");
        }
        let gone = Bearer::new(Token::File(dir.path().join("gone"))).err().unwrap();
        assert!(gone.to_string().contains("gone cannot be read"), "{gone}");
        let folder = Bearer::new(Token::File(dir.path().into())).err().unwrap();
        assert!(matches!(folder, EndpointError::TokenFileContent(_)), "{folder}");
    }

    #[test]
    fn the_header_is_redacted_in_debug_output() {
        let bearer = Bearer::new(Token::Text("hunter2".into())).unwrap();
        assert!(!format!("{:?}", bearer.header()).contains("hunter2"));
    }
}
