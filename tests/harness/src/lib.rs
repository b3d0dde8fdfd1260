//! Shared test helpers: the built `skep`, the guests, a fluent runner, and a server for guests to
//! call.
//!
//! A test that lacks a guest, a package or a tool fails; none is skipped.

mod faulty_disk;
mod files;
mod nats;
mod process;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub use faulty_disk::{Fault, FaultyDisk, Plan};
pub use files::{TestDir, killed, test_dir};
pub use nats::NatsServers;
pub use process::{Ran, Run, Running};
pub use server::{Server, Stream, Wrap};

/// Returns the `skep` of this checkout, built once per test process.
pub fn skep() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        // The whole workspace, so that the engine has the same features as for the tests, and is
        // not built a second time.
        build.args(["build", "--quiet", "--workspace", "--bin", "skep"]).current_dir(root());
        // Variables that `cargo test` sets for the crate under test would cause rebuilds of
        // packages that read their own.
        for (name, _) in std::env::vars_os() {
            let of_a_crate = ["CARGO_MANIFEST_", "CARGO_PKG_"];
            if of_a_crate.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                build.env_remove(name);
            }
        }
        assert!(build.status().expect("cargo starts").success(), "skep does not build");
        target().join("debug/skep")
    })
}

/// Returns the root of the checkout.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.ancestors().nth(2).expect("tests/harness lies two levels down").to_owned()
    })
}

fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}

/// Returns a guest of this tree by name: `hello`, `probe`, `preview1/probe`. It is built if it is
/// out of date.
pub fn guest(name: &str) -> PathBuf {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built =
        BUILT.get_or_init(|| xtask::guests::ensure().map(drop).map_err(|error| error.to_string()));
    assert_eq!(*built, Ok(()), "the guests do not build");
    let path = root().join("target/guests").join(format!("{name}.wasm"));
    assert!(path.is_file(), "there is no guest {name}");
    path
}

/// Returns the cache of compiled components that tests keep between runs.
pub fn shared_cache() -> PathBuf {
    target().join("test-cache")
}
