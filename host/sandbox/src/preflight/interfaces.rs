//! The table of interfaces that Skep offers to guests.
//!
//! A component is checked against this table before it is compiled. A test checks that every entry
//! is linked, in this version.

use std::fmt;

/// An interface that a component may import.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// `namespace:package/interface`.
    pub name: &'static str,
    /// The implemented version.
    pub version: &'static str,
    /// The grant that makes it useful.
    pub grant: Grant,
}

/// The grant that an interface needs before its calls have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Nothing: every worker has it.
    None,
    /// A directory. Without one, there is no handle to call it on.
    Directory,
    /// An HTTP grant. Without one, every request is denied.
    Http,
    /// A grant that this version does not have. Calls return access-denied.
    Sockets,
}

impl Grant {
    /// Returns a note for the operator if the interface was not granted.
    pub fn note(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Directory => Some("can access /data and directories mapped with --dir"),
            Self::Http => {
                Some("not granted: every request is denied; allow with --allow-http 'https://HOST'")
            }
            Self::Sockets => {
                Some("not granted: every call returns access-denied (no flag allows sockets)")
            }
        }
    }
}

/// The use of WASI 0.3 on a host. The engine's authors call their part of it experimental and give it no
/// patch releases, so a host has to turn it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wasi03 {
    /// A component that needs it is refused.
    #[default]
    Off,
    /// A component that needs it runs.
    On,
}

impl From<bool> for Wasi03 {
    fn from(is_on: bool) -> Self {
        if is_on { Self::On } else { Self::Off }
    }
}

/// The switch that turns WASI 0.3 on, in words.
pub const WASI_0_3_SWITCH: &str =
    "`--wasi-0.3`, or `wasi_0_3 = true` in the section [runtime] of skep.toml";

const WASI: &str = "0.2.12";
const WASI_0_3: &str = "0.3.0";
const SKEP: &str = "0.1.0";

const fn offer(name: &'static str, version: &'static str, grant: Grant) -> Offer {
    Offer { name, version, grant }
}

/// The interfaces that components may import.
pub const OFFERS: &[Offer] = &[
    offer("wasi:cli/environment", WASI, Grant::None),
    offer("wasi:cli/exit", WASI, Grant::None),
    offer("wasi:cli/stdin", WASI, Grant::None),
    offer("wasi:cli/stdout", WASI, Grant::None),
    offer("wasi:cli/stderr", WASI, Grant::None),
    offer("wasi:cli/terminal-input", WASI, Grant::None),
    offer("wasi:cli/terminal-output", WASI, Grant::None),
    offer("wasi:cli/terminal-stdin", WASI, Grant::None),
    offer("wasi:cli/terminal-stdout", WASI, Grant::None),
    offer("wasi:cli/terminal-stderr", WASI, Grant::None),
    offer("wasi:clocks/monotonic-clock", WASI, Grant::None),
    offer("wasi:clocks/wall-clock", WASI, Grant::None),
    // The newer version comes first, because it is the one that errors suggest.
    offer("wasi:config/store", "0.2.0-rc.1", Grant::None),
    offer("wasi:config/store", "0.2.0-draft", Grant::None),
    offer("wasi:filesystem/preopens", WASI, Grant::Directory),
    offer("wasi:filesystem/types", WASI, Grant::Directory),
    offer("wasi:http/outgoing-handler", WASI, Grant::Http),
    offer("wasi:http/types", WASI, Grant::None),
    offer("wasi:io/error", WASI, Grant::None),
    offer("wasi:io/poll", WASI, Grant::None),
    offer("wasi:io/streams", WASI, Grant::None),
    offer("wasi:random/insecure", WASI, Grant::None),
    offer("wasi:random/insecure-seed", WASI, Grant::None),
    offer("wasi:random/random", WASI, Grant::None),
    offer("wasi:sockets/instance-network", WASI, Grant::Sockets),
    offer("wasi:sockets/ip-name-lookup", WASI, Grant::Sockets),
    offer("wasi:sockets/network", WASI, Grant::Sockets),
    offer("wasi:sockets/tcp", WASI, Grant::Sockets),
    offer("wasi:sockets/tcp-create-socket", WASI, Grant::Sockets),
    offer("wasi:sockets/udp", WASI, Grant::Sockets),
    offer("wasi:sockets/udp-create-socket", WASI, Grant::Sockets),
    offer("skep:worker/config", SKEP, Grant::None),
    offer("skep:worker/context", SKEP, Grant::None),
    offer("skep:worker/fetch", SKEP, Grant::Http),
    offer("skep:worker/state", SKEP, Grant::None),
    offer("skep:worker/transcript", SKEP, Grant::None),
];

/// The interfaces of WASI 0.3. They are offered where it is on.
pub const OFFERS_0_3: &[Offer] = &[
    offer("wasi:cli/environment", WASI_0_3, Grant::None),
    offer("wasi:cli/exit", WASI_0_3, Grant::None),
    offer("wasi:cli/stderr", WASI_0_3, Grant::None),
    offer("wasi:cli/stdin", WASI_0_3, Grant::None),
    offer("wasi:cli/stdout", WASI_0_3, Grant::None),
    offer("wasi:cli/terminal-input", WASI_0_3, Grant::None),
    offer("wasi:cli/terminal-output", WASI_0_3, Grant::None),
    offer("wasi:cli/terminal-stderr", WASI_0_3, Grant::None),
    offer("wasi:cli/terminal-stdin", WASI_0_3, Grant::None),
    offer("wasi:cli/terminal-stdout", WASI_0_3, Grant::None),
    offer("wasi:cli/types", WASI_0_3, Grant::None),
    offer("wasi:clocks/monotonic-clock", WASI_0_3, Grant::None),
    offer("wasi:clocks/system-clock", WASI_0_3, Grant::None),
    offer("wasi:clocks/types", WASI_0_3, Grant::None),
    offer("wasi:filesystem/preopens", WASI_0_3, Grant::Directory),
    offer("wasi:filesystem/types", WASI_0_3, Grant::Directory),
    offer("wasi:http/client", WASI_0_3, Grant::Http),
    offer("wasi:http/types", WASI_0_3, Grant::None),
    offer("wasi:random/insecure", WASI_0_3, Grant::None),
    offer("wasi:random/insecure-seed", WASI_0_3, Grant::None),
    offer("wasi:random/random", WASI_0_3, Grant::None),
    offer("wasi:sockets/ip-name-lookup", WASI_0_3, Grant::Sockets),
    offer("wasi:sockets/types", WASI_0_3, Grant::Sockets),
];

impl Offer {
    /// Returns true if it is offered only where WASI 0.3 is on.
    pub fn is_wasi_0_3(&self) -> bool {
        self.version == WASI_0_3
    }
}

/// An interface name with its version, as in a component: `wasi:io/poll@0.2.3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceName {
    /// The part before the `@`.
    pub name: String,
    /// The part after it, if any.
    pub version: Option<String>,
}

impl InterfaceName {
    /// Splits the name of an import or export.
    pub fn parse(text: &str) -> Self {
        match text.split_once('@') {
            Some((name, version)) => Self { name: name.into(), version: Some(version.into()) },
            None => Self { name: text.into(), version: None },
        }
    }

    /// Returns true if this is `name` in a version that is compatible with `version`.
    pub fn matches(&self, name: &str, version: &str) -> bool {
        self.name == name && self.version.as_deref().is_some_and(|own| compatible(own, version))
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

/// Finds the offer for an import, among those of a host where WASI 0.3 is on.
pub fn find(import: &InterfaceName) -> Result<&'static Offer, MissingInterface> {
    let mut named = OFFERS.iter().chain(OFFERS_0_3).filter(|offer| offer.name == import.name);
    match named.clone().find(|offer| import.matches(offer.name, offer.version)) {
        Some(offer) => Ok(offer),
        None => Err(match named.next() {
            Some(offer) => MissingInterface::Version { have: offer.version },
            None => MissingInterface::Unknown,
        }),
    }
}

/// The reason that an import has no offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingInterface {
    /// There is no such interface.
    Unknown,
    /// The interface exists in another version.
    Version {
        /// The newest offered version.
        have: &'static str,
    },
}

/// Returns true if the linker treats two versions as interchangeable: same major, or same minor
/// below 1.0. A prerelease matches only itself; build metadata does not matter.
fn compatible(a: &str, b: &str) -> bool {
    match (track(a), track(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn track(version: &str) -> Option<(u64, u64)> {
    let (version, _build) = version.split_once('+').unwrap_or((version, ""));
    if version.contains('-') {
        return None;
    }
    let mut parts = version.splitn(3, '.').map(str::parse::<u64>);
    match (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?) {
        (0, 0, _) => None,
        (0, minor, _) => Some((0, minor)),
        (major, ..) => Some((major, 0)),
    }
}

/// The module that preview1 functions are imported from.
pub(crate) const PREVIEW1: &str = "wasi_snapshot_preview1";

/// The functions of `wasi_snapshot_preview1`, all of which are offered, with their types: a letter
/// for each parameter (`i` for i32, `I` for i64), a colon, and a letter for each result.
const FUNCTIONS: &[(&str, &str)] = &[
    ("args_get", "ii:i"),
    ("args_sizes_get", "ii:i"),
    ("clock_res_get", "ii:i"),
    ("clock_time_get", "iIi:i"),
    ("environ_get", "ii:i"),
    ("environ_sizes_get", "ii:i"),
    ("fd_advise", "iIIi:i"),
    ("fd_allocate", "iII:i"),
    ("fd_close", "i:i"),
    ("fd_datasync", "i:i"),
    ("fd_fdstat_get", "ii:i"),
    ("fd_fdstat_set_flags", "ii:i"),
    ("fd_fdstat_set_rights", "iII:i"),
    ("fd_filestat_get", "ii:i"),
    ("fd_filestat_set_size", "iI:i"),
    ("fd_filestat_set_times", "iIIi:i"),
    ("fd_pread", "iiiIi:i"),
    ("fd_prestat_dir_name", "iii:i"),
    ("fd_prestat_get", "ii:i"),
    ("fd_pwrite", "iiiIi:i"),
    ("fd_read", "iiii:i"),
    ("fd_readdir", "iiiIi:i"),
    ("fd_renumber", "ii:i"),
    ("fd_seek", "iIii:i"),
    ("fd_sync", "i:i"),
    ("fd_tell", "ii:i"),
    ("fd_write", "iiii:i"),
    ("path_create_directory", "iii:i"),
    ("path_filestat_get", "iiiii:i"),
    ("path_filestat_set_times", "iiiiIIi:i"),
    ("path_link", "iiiiiii:i"),
    ("path_open", "iiiiiIIii:i"),
    ("path_readlink", "iiiiii:i"),
    ("path_remove_directory", "iii:i"),
    ("path_rename", "iiiiii:i"),
    ("path_symlink", "iiiii:i"),
    ("path_unlink_file", "iii:i"),
    ("poll_oneoff", "iiii:i"),
    ("proc_exit", "i:"),
    ("proc_raise", "i:i"),
    ("random_get", "ii:i"),
    ("sched_yield", ":i"),
    ("sock_accept", "iii:i"),
    ("sock_recv", "iiiiii:i"),
    ("sock_send", "iiiii:i"),
    ("sock_shutdown", "ii:i"),
];

/// Returns the type of a function of `wasi_snapshot_preview1`, if it exists.
pub(crate) fn preview1(name: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, ty)| *ty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_match_like_in_the_linker() {
        for (import, ok) in [
            ("wasi:io/poll@0.2.0", true),
            ("wasi:io/poll@0.2.99", true),
            ("wasi:io/poll@0.2.3+2026-03-15", true),
            ("wasi:cli/stdin@0.3.0", true),
            ("wasi:cli/stdin@0.3.7", true),
            ("wasi:io/poll@0.3.0", false),
            ("wasi:io/poll@1.0.0", false),
            ("wasi:io/poll@0.2.0-rc.1", false),
            ("wasi:io/poll", false),
            ("wasi:io/poll@banana", false),
        ] {
            let found = find(&InterfaceName::parse(import));
            assert_eq!(found.is_ok(), ok, "{import}");
            if !ok {
                assert_eq!(found.unwrap_err(), MissingInterface::Version { have: WASI });
            }
        }
        assert_eq!(
            find(&InterfaceName::parse("x:y/z@0.2.0")).unwrap_err(),
            MissingInterface::Unknown
        );
    }

    #[test]
    fn a_prerelease_matches_only_itself() {
        for version in ["0.2.0-rc.1", "0.2.0-draft"] {
            let import = InterfaceName::parse(&format!("wasi:config/store@{version}"));
            assert_eq!(find(&import).unwrap().version, version);
        }
        for version in ["0.2.0", "0.2.1", "0.2.0-rc.2", "0.2.1-rc.1", "0.2.0-draft+1"] {
            let import = InterfaceName::parse(&format!("wasi:config/store@{version}"));
            let missing = find(&import).unwrap_err();
            assert_eq!(missing, MissingInterface::Version { have: "0.2.0-rc.1" }, "{version}");
        }
    }

    /// Builds a module that imports one function of the given type.
    fn importing(name: &str, ty: &str) -> Vec<u8> {
        let (params, results) = ty.split_once(':').unwrap();
        let words =
            |letters: &str| letters.replace('i', "j").replace('I', " i64").replace('j', " i32");
        let (params, results) = (words(params), words(results));
        let ty = format!("(param{params}) (result{results})");
        let import = format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func {ty}))");
        wat::parse_str(format!("(module {import})")).unwrap()
    }

    #[test]
    fn the_types_of_preview1_match_the_linker() {
        let engine =
            crate::code::engine::Engine::without_clock(crate::code::engine::Profile::Default)
                .unwrap();
        let fits = |name: &str, ty: &str| {
            let module = wasmtime::Module::new(&engine.wasmtime, importing(name, ty)).unwrap();
            engine.modules().unwrap().instantiate_pre(&module).is_ok()
        };
        for (name, ty) in FUNCTIONS {
            assert!(fits(name, ty), "{name}: {ty}");
            assert!(!fits(name, "iIi:iIi"), "{name}");
        }
        assert!(!fits("fd_fly", "i:i"));
    }
}
