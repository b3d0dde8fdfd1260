//! One libFuzzer program for all targets; `SKEP_FUZZ_TARGET` selects one.
//!
//! A target takes bytes and panics if a property that must hold for all bytes does not. `cargo
//! xtask fuzz` builds this with the necessary flags and runs each target.

#![no_main]
#![expect(unreachable_pub, reason = "sources of other crates are compiled here unchanged")]

mod answers;
mod archive;
mod bytes;
mod component;
mod cursors;
mod flags;
mod grants;
mod paths;
mod place;
mod preflight;
mod shapes;
mod split;
mod terminal;
mod words;

// The program's parsers of flags, and its terminal filter. The program is not a library and exports
// nothing.
#[rustfmt::skip]
#[path = "../../../host/cli/src/filter.rs"]
mod filter;
#[rustfmt::skip]
#[expect(dead_code, reason = "this program opens no directories")]
#[path = "../../../host/cli/src/run/mount.rs"]
mod mount;
#[rustfmt::skip]
#[path = "../../../host/cli/src/command_line.rs"]
mod command_line;

use std::sync::LazyLock;

type Target = fn(&[u8]);

const TARGETS: &[(&str, Target)] = &[
    ("answers", answers::run),
    ("archive", archive::run),
    ("component", component::run),
    ("cursors", cursors::run),
    ("flags", flags::run),
    ("grants", grants::run),
    ("paths", paths::run),
    ("shapes", shapes::run),
    ("split", split::run),
    ("terminal", terminal::run),
    ("words", words::run),
];

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let wanted = std::env::var("SKEP_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(name, _)| *name == wanted);
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    found.unwrap_or_else(|| panic!("SKEP_FUZZ_TARGET is one of {names:?}")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
