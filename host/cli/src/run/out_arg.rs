//! `--out`: a directory of the operator, and the files that it receives.
//!
//! ```text
//! OUT  = DIR [ "::" GLOB ]
//! GLOB = [ "/out/" ] PATTERN
//! ```
//!
//! The text is split at the last `::`, so a DIR that contains one needs a GLOB, such as `odd::dir::**`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use skep_scope::Glob;

/// A directory that receives files of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutArg {
    pub(super) dir: PathBuf,
    /// The files that it receives. Without a pattern, it receives all.
    pub(super) only: Option<Glob>,
}

impl OutArg {
    /// Parses the grammar in the module's documentation.
    pub(super) fn parse(text: OsString) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let (dir, only) = match bytes.windows(2).rposition(|two| two == b"::") {
            None => (bytes, None),
            Some(at) => (&bytes[..at], Some(glob(&bytes[at + 2..])?)),
        };
        if dir.is_empty() {
            return Err("expected DIR, or DIR::PATTERN such as results::*.xml".into());
        }
        Ok(Self { dir: OsStr::from_bytes(dir).into(), only })
    }
}

fn glob(text: &[u8]) -> Result<Glob, String> {
    let text = str::from_utf8(text).map_err(|_| "the pattern is not UTF-8".to_owned())?;
    let relative = text.strip_prefix("/out/").unwrap_or(text);
    relative.parse().map_err(|error| format!("the pattern `{text}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_may_have_a_pattern() {
        for (text, dir, only) in [
            ("results", "results", None),
            ("a::*.xml", "a", Some("*.xml")),
            ("a::/out/d/**", "a", Some("d/**")),
            ("odd::dir::**", "odd::dir", Some("**")),
        ] {
            let only = only.map(|only| only.parse().unwrap());
            assert_eq!(OutArg::parse(text.into()), Ok(OutArg { dir: dir.into(), only }), "{text}");
        }
        for text in ["", "::*.xml", "a::", "a::/etc/*", "a::../b", "a::[x]"] {
            assert!(OutArg::parse(text.into()).is_err(), "{text}");
        }
    }
}
