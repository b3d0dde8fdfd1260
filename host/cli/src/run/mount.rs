//! `--dir HOST::GUEST[:ro|rw]`.

use std::path::PathBuf;
use std::str::FromStr;

use skep_protocol::Rights;

/// Where a directory without a guest path is seen.
pub(crate) const DATA: &str = "/data";

/// A directory that the operator maps into the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountArg {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) rights: Rights,
}

impl FromStr for MountArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, rights) = match text.rsplit_once(':') {
            Some((rest, word @ ("ro" | "rw"))) if !rest.ends_with(':') => {
                (rest, word.parse().expect("one of the two words"))
            }
            _ => (text, Rights::ReadOnly),
        };
        let (host, guest) = rest.split_once("::").unwrap_or((rest, DATA));
        if host.is_empty() {
            return Err("a mount is HOST::GUEST, HOST::GUEST:rw, or HOST for /data".into());
        }
        Ok(Self { host: host.into(), guest: guest_path(guest)?, rights })
    }
}

/// A guest path is absolute and plain: what a libc matches open paths against.
fn guest_path(path: &str) -> Result<String, String> {
    let trimmed = path.trim_end_matches('/');
    let parts = trimmed.split('/').skip(1);
    let plain = parts.clone().all(|part| !part.is_empty() && part != "." && part != "..");
    match (path, trimmed) {
        ("/", _) => Ok("/".into()),
        _ if path.starts_with('/') && plain && !path.contains('\0') => Ok(trimmed.into()),
        _ => Err(format!("`{path}` is not an absolute path without `.` or `..`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(host: &str, guest: &str, rights: Rights) -> MountArg {
        MountArg { host: host.into(), guest: guest.into(), rights }
    }

    #[test]
    fn the_three_forms() {
        use Rights::{ReadOnly, ReadWrite};
        for (text, expected) in [
            ("src", mount("src", "/data", ReadOnly)),
            ("src:rw", mount("src", "/data", ReadWrite)),
            ("a/b::/in/side", mount("a/b", "/in/side", ReadOnly)),
            ("a::/x:rw", mount("a", "/x", ReadWrite)),
            ("a::/x/:ro", mount("a", "/x", ReadOnly)),
            ("c:d::/x", mount("c:d", "/x", ReadOnly)),
            ("a::/", mount("a", "/", ReadOnly)),
        ] {
            assert_eq!(text.parse::<MountArg>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_guest_path_must_be_absolute_and_plain() {
        for bad in ["", "::/x", "a::x", "a::", "a::/x/../y", "a::/./x", "a:://x"] {
            assert!(bad.parse::<MountArg>().is_err(), "{bad} was accepted");
        }
    }
}
