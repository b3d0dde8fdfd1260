//! `--file` and `--archive`: a file of the host and its place in the guest.
//!
//! The text is split at the last `::` that is followed by `/`, as that of `--dir`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::mount::guest_path;

/// A file of the host, and a path of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileArg {
    pub(super) host: PathBuf,
    pub(super) guest: String,
}

impl FileArg {
    /// Parses `HOST::GUEST`.
    pub(super) fn parse(text: OsString) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let at = bytes.windows(3).rposition(|three| three == b"::/");
        let Some(at) = at.filter(|at| *at > 0) else {
            return Err("expected HOST::GUEST, where GUEST begins with /".into());
        };
        let guest = guest_path(&bytes[at + 2..])?;
        if guest == "/" {
            return Err("the guest path is /, which is no name".into());
        }
        Ok(Self { host: OsStr::from_bytes(&bytes[..at]).into(), guest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_place_in_the_guest() {
        for (text, host, guest) in [
            ("a.tar::/usr", "a.tar", "/usr"),
            ("a::b::/etc/c.toml", "a::b", "/etc/c.toml"),
            ("a:ro::/x:rw", "a:ro", "/x:rw"),
        ] {
            let expected = FileArg { host: host.into(), guest: guest.into() };
            assert_eq!(FileArg::parse(text.into()), Ok(expected), "{text}");
        }
        for text in ["a", "::/x", "a::x", "a::/", "a::/../x"] {
            assert!(FileArg::parse(text.into()).is_err(), "{text}");
        }
    }
}
