//! `--dir`: a mapping of a host directory to a guest path, with rights.
//!
//! ```text
//! DIR    = HOST [ "::" GUEST ] [ ":ro" | ":rw" ]
//! GUEST  = "/" | ( "/" PART )+
//! ```
//!
//! HOST may be any path, so the text is parsed from the right. First the rights are removed from
//! the end. The rest is split at the last `::` that is followed by `/`. Without one, all of it is
//! HOST and GUEST is `/data`. Every directory can be named this way: one whose name contains `::/`
//! or ends in `:ro` or `:rw` needs an explicit GUEST and rights, as in `odd:rw::/data:ro`. Only the
//! last part of GUEST may end in `::`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use skep_protocol::Rights;

/// The guest path of a directory that is mapped without one.
pub(crate) const DATA: &str = "/data";

/// The separator of the two paths, with the first byte of the second.
const BETWEEN: &[u8] = b"::/";

/// A directory that the operator maps into the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountArg {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) rights: Rights,
}

impl MountArg {
    /// Parses a mapping by the grammar in the module's documentation.
    pub(crate) fn parse(text: OsString) -> Result<Self, String> {
        let (paths, rights) = split_rights(text.as_bytes());
        let at = paths.windows(BETWEEN.len()).rposition(|three| three == BETWEEN);
        let (host, guest) = match at {
            Some(at) => (&paths[..at], guest_path(&paths[at + 2..])?),
            None => (paths, DATA.into()),
        };
        if host.is_empty() {
            return Err("expected HOST::GUEST, HOST::GUEST:rw, or HOST alone for /data".into());
        }
        Ok(Self { host: OsStr::from_bytes(host).into(), guest, rights })
    }

    /// Returns the mapping in full: both paths and the rights.
    pub(crate) fn spelling(&self) -> OsString {
        let host = self.host.as_os_str().as_bytes();
        let rest = format!("::{}:{}", self.guest, self.rights);
        OsString::from_vec([host, rest.as_bytes()].concat())
    }

    /// Returns the error message for a directory that cannot be opened.
    pub(crate) fn cannot_open(&self, error: &io::Error) -> String {
        let host = self.host.display();
        let relative = error.kind() == io::ErrorKind::NotFound
            && self.host.as_os_str().as_bytes().windows(2).any(|two| two == b"::");
        let hint = if relative { "; a guest path begins with /, as in src::/data" } else { "" };
        format!("cannot open the directory {host}: {error}{hint}")
    }
}

fn split_rights(text: &[u8]) -> (&[u8], Rights) {
    for (end, rights) in [(&b":ro"[..], Rights::ReadOnly), (b":rw", Rights::ReadWrite)] {
        if let Some(paths) = text.strip_suffix(end) {
            return (paths, rights);
        }
    }
    (text, Rights::ReadOnly)
}

/// Parses a guest path, which begins with `/`. A libc compares the paths it opens with it as text,
/// so it must be normalized.
pub(super) fn guest_path(path: &[u8]) -> Result<String, String> {
    let Ok(path) = str::from_utf8(path) else {
        let path = String::from_utf8_lossy(path);
        return Err(format!("the guest path `{path}` is not UTF-8"));
    };
    let trimmed = path.trim_end_matches('/');
    let mut parts = trimmed.split('/').skip(1);
    match parts.all(|part| !matches!(part, "" | "." | "..")) {
        _ if path == "/" => Ok(path.into()),
        true if !trimmed.is_empty() => Ok(trimmed.into()),
        _ => Err(format!("the guest path `{path}` must not contain empty parts, `.` or `..`")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mount(host: &str, guest: &str, rights: Rights) -> MountArg {
        MountArg { host: host.into(), guest: guest.into(), rights }
    }

    #[test]
    fn each_form_is_parsed_from_the_right() {
        use Rights::{ReadOnly, ReadWrite};
        for (text, expected) in [
            ("src", mount("src", "/data", ReadOnly)),
            ("src:rw", mount("src", "/data", ReadWrite)),
            ("a/b::/in/side", mount("a/b", "/in/side", ReadOnly)),
            ("a::/x:rw", mount("a", "/x", ReadWrite)),
            ("a::/x/:ro", mount("a", "/x", ReadOnly)),
            ("a::/x//", mount("a", "/x", ReadOnly)),
            ("c:d::/x", mount("c:d", "/x", ReadOnly)),
            ("a::/", mount("a", "/", ReadOnly)),
            ("a::/:rw", mount("a", "/", ReadWrite)),
            // Names that contain a separator or rights.
            ("c::d", mount("c::d", "/data", ReadOnly)),
            ("c::d::/x", mount("c::d", "/x", ReadOnly)),
            ("c::/d::/x:rw", mount("c::/d", "/x", ReadWrite)),
            ("c:::/x", mount("c:", "/x", ReadOnly)),
            ("c:rw::/data", mount("c:rw", "/data", ReadOnly)),
            ("c:rw:ro", mount("c:rw", "/data", ReadOnly)),
            ("c:ro::/x:rw:rw", mount("c:ro", "/x:rw", ReadWrite)),
            ("c::/x::rw", mount("c", "/x:", ReadWrite)),
            ("/c::/x y", mount("/c", "/x y", ReadOnly)),
        ] {
            assert_eq!(MountArg::parse(text.into()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn guest_paths_that_are_not_normalized_and_empty_host_paths_are_refused() {
        for bad in ["", ":rw", "::/x", "::/x:rw", "a::/x/../y", "a::/./x", "a:://x", "a:://"] {
            assert!(MountArg::parse(bad.into()).is_err(), "{bad} was accepted");
        }
        let text = OsString::from_vec(b"a::/\xff".to_vec());
        assert!(MountArg::parse(text).is_err(), "a guest path must be UTF-8");
    }

    /// Any host path, mostly made of the separators of a mapping.
    fn host_path() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(vec!["::", ":", "/", "::/", ":ro", ":rw", "a", ".", "-", " "])
                .prop_map(|piece| piece.as_bytes().to_vec()),
            prop::collection::vec(1..=u8::MAX, 1..4),
        ];
        prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
    }

    fn guest_paths() -> impl Strategy<Value = String> {
        let other = any::<char>().prop_filter("is not a separator", |c| !matches!(c, '/' | '\0'));
        let piece = prop_oneof![
            prop::sample::select(vec!["::", ":", ":ro", ":rw", "a", "."]).prop_map(str::to_owned),
            other.prop_map(String::from),
        ];
        let part = prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat());
        let part = part.prop_filter("is not . or ..", |part| !matches!(part.as_str(), "." | ".."));
        let parts = prop::collection::vec(part, 0..4);
        let path = parts.prop_map(|parts| format!("/{}", parts.join("/")));
        path.prop_filter("has no part that ends in ::", |path| !path.contains("::/"))
    }

    proptest! {
        #[test]
        fn every_directory_has_a_spelling(
            host in host_path(), guest in guest_paths(), writable: bool,
        ) {
            let rights = if writable { Rights::ReadWrite } else { Rights::ReadOnly };
            let mount = MountArg { host: OsString::from_vec(host).into(), guest, rights };
            prop_assert_eq!(MountArg::parse(mount.spelling()), Ok(mount));
        }

        #[test]
        fn a_parsed_mapping_equals_its_spelling(text in host_path()) {
            if let Ok(mount) = MountArg::parse(OsString::from_vec(text)) {
                prop_assert_eq!(MountArg::parse(mount.spelling()), Ok(mount));
            }
        }
    }
}
