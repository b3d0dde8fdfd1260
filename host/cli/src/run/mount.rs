//! `--dir`: a directory of the host, where the guest sees it, and what the guest may do there.
//!
//! ```text
//! DIR    = HOST [ "::" GUEST ] [ ":ro" | ":rw" ]
//! GUEST  = "/" | ( "/" PART )+
//! ```
//!
//! HOST may be any path, so it is read from the right: first the rights are taken off the end, then
//! what is left is split at the last `::` that a `/` follows. Where there is none, all of it is HOST,
//! and GUEST is `/data`. So each directory can be named: one whose own name holds `::/` or ends in
//! `:ro` or `:rw` with an explicit GUEST and rights, as in `odd:rw::/data:ro`. A part of GUEST that
//! is not the last does not end in `::`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use skep_protocol::Rights;

/// Where a directory without a guest path is seen.
pub(crate) const DATA: &str = "/data";

/// What stands between the two paths, with what the second begins with.
const BETWEEN: &[u8] = b"::/";

/// A directory that the operator maps into the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountArg {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) rights: Rights,
}

impl MountArg {
    /// Reads one. The module's documentation says how.
    pub(crate) fn parse(text: OsString) -> Result<Self, String> {
        let (paths, rights) = split_rights(text.as_bytes());
        let at = paths.windows(BETWEEN.len()).rposition(|three| three == BETWEEN);
        let (host, guest) = match at {
            Some(at) => (&paths[..at], guest_path(&paths[at + 2..])?),
            None => (paths, DATA.into()),
        };
        if host.is_empty() {
            return Err("a directory is HOST::GUEST, HOST::GUEST:rw, or HOST for /data".into());
        }
        Ok(Self { host: OsStr::from_bytes(host).into(), guest, rights })
    }

    /// How it is written in full.
    pub(crate) fn spelling(&self) -> OsString {
        let host = self.host.as_os_str().as_bytes();
        let rest = format!("::{}:{}", self.guest, self.rights);
        OsString::from_vec([host, rest.as_bytes()].concat())
    }

    /// What is said where there is no such directory, or it cannot be opened.
    pub(crate) fn cannot_open(&self, error: &io::Error) -> String {
        let host = self.host.display();
        let relative = error.kind() == io::ErrorKind::NotFound
            && self.host.as_os_str().as_bytes().windows(2).any(|two| two == b"::");
        let hint =
            if relative { "; a path of the guest begins with /, as in src::/data" } else { "" };
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

/// Reads a path that begins with a `/`. It is plain: what a libc matches open paths against.
fn guest_path(path: &[u8]) -> Result<String, String> {
    let Ok(path) = str::from_utf8(path) else {
        let path = String::from_utf8_lossy(path);
        return Err(format!("`{path}` is not UTF-8, as paths of guests are"));
    };
    let trimmed = path.trim_end_matches('/');
    let mut parts = trimmed.split('/').skip(1);
    match parts.all(|part| !matches!(part, "" | "." | "..")) {
        _ if path == "/" => Ok(path.into()),
        true if !trimmed.is_empty() => Ok(trimmed.into()),
        _ => Err(format!("`{path}` is not a path without empty parts, `.` and `..`")),
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
    fn each_form_is_read_from_the_right() {
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
            // Names that have in them what otherwise divides.
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
    fn a_guest_path_is_plain_and_a_host_path_is_there() {
        for bad in ["", ":rw", "::/x", "::/x:rw", "a::/x/../y", "a::/./x", "a:://x", "a:://"] {
            assert!(MountArg::parse(bad.into()).is_err(), "{bad} was accepted");
        }
        let text = OsString::from_vec(b"a::/\xff".to_vec());
        assert!(MountArg::parse(text).is_err(), "it is no path of a guest");
    }

    /// Whatever a path of the host may be made of, above all of what divides a mount.
    fn host_path() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(vec!["::", ":", "/", "::/", ":ro", ":rw", "a", ".", "-", " "])
                .prop_map(|piece| piece.as_bytes().to_vec()),
            prop::collection::vec(1..=u8::MAX, 1..4),
        ];
        prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
    }

    fn guest_paths() -> impl Strategy<Value = String> {
        let other = any::<char>().prop_filter("divides nothing", |c| !matches!(c, '/' | '\0'));
        let piece = prop_oneof![
            prop::sample::select(vec!["::", ":", ":ro", ":rw", "a", "."]).prop_map(str::to_owned),
            other.prop_map(String::from),
        ];
        let part = prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat());
        let part = part.prop_filter("is plain", |part| !matches!(part.as_str(), "." | ".."));
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
        fn what_is_read_is_what_its_spelling_says(text in host_path()) {
            if let Ok(mount) = MountArg::parse(OsString::from_vec(text)) {
                prop_assert_eq!(MountArg::parse(mount.spelling()), Ok(mount));
            }
        }
    }
}
