//! `--cargo`: `skep run` as the runner of a target for `cargo test`, `cargo run` and nextest.
//!
//! Such a runner is started in the package's directory, with variables that describe the package. A
//! test reads its fixtures by a relative path or by `env!("CARGO_MANIFEST_DIR")`, which the compiler
//! has written into it. So the guest gets the working directory as `/`, where every libc starts, and
//! the package's directory once more at its path on the host. Both are read-only.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use skep_protocol::Rights;

use super::args::RunArgs;
use super::env::Environment;
use super::mount::{self, MountArg};
use crate::ambient;

/// The variable by which cargo names the package's directory.
const MANIFEST_DIR: &str = "CARGO_MANIFEST_DIR";

/// The beginnings of the names of variables that are passed on.
const PASSED: &[&str] =
    &["CARGO_", "NEXTEST_", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_TEST_"];

/// The beginnings of the names of those that are not: cargo's own configuration, which may contain
/// tokens and passwords of registries and proxies.
const KEPT: &[&str] = &[
    "CARGO_ALIAS_",
    "CARGO_CREDENTIAL",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
];

/// Parts of names of secrets.
const SECRETS: &[&str] = &["TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"];

/// Adds the directories and the variables of a run under cargo. What the command line names itself
/// takes precedence.
pub(super) fn prepare(
    arguments: &mut RunArgs,
    environment: &mut Environment,
) -> Result<(), String> {
    let package = ambient::variable(MANIFEST_DIR).map(PathBuf::from).ok_or_else(|| {
        format!(
            "--cargo is for the runner that cargo starts, and {MANIFEST_DIR} is not set; set \
             CARGO_TARGET_WASM32_WASIP1_RUNNER=\"skep run --cargo\" and use cargo test"
        )
    })?;
    let here = ambient::working_dir().map_err(|error| format!("no working directory: {error}"))?;
    for path in [&here, &package] {
        if path.parent().is_none() {
            return Err("--cargo maps the package's directory, which is / here; \
                        give the directories with --dir instead"
                .into());
        }
    }
    let at_root = MountArg { host: here, guest: "/".into(), rights: Rights::ReadOnly };
    let guest = guest_path(&package)?;
    let at_path = MountArg { host: package, guest, rights: Rights::ReadOnly };
    for mount in [at_root, at_path] {
        if arguments.guest.dir.iter().all(|dir| dir.guest != mount.guest) {
            arguments.guest.dir.push(mount);
        }
    }
    arguments.guest.no_data = true;
    arguments.guest.own_tmp = true;
    for (name, value) in ambient::variables() {
        // Another name or value was not set by cargo.
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && is_passed(name)
        {
            environment.set_default(name, value.to_owned());
        }
    }
    environment.set_default("TMPDIR", "/tmp".into());
    Ok(())
}

/// Returns true for a variable that a guest gets.
fn is_passed(name: &str) -> bool {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    begins(PASSED) && !begins(KEPT) && !SECRETS.iter().any(|part| name.contains(part))
}

/// Returns the path of a directory of the host for a guest.
fn guest_path(path: &Path) -> Result<String, String> {
    if !path.is_absolute() {
        return Err(format!("{MANIFEST_DIR} is not an absolute path: {}", path.display()));
    }
    mount::guest_path(path.as_os_str().as_bytes())
        .map_err(|error| format!("{MANIFEST_DIR}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_passed_and_secrets_are_not() {
        for (name, passed) in [
            ("CARGO_PKG_VERSION", true),
            ("CARGO_MANIFEST_DIR", true),
            ("CARGO_BIN_EXE_tool", true),
            ("NEXTEST_RUN_ID", true),
            ("RUST_BACKTRACE", true),
            ("RUST_TEST_THREADS", true),
            ("CARGO_REGISTRY_TOKEN", false),
            ("CARGO_REGISTRIES_MINE_TOKEN", false),
            ("CARGO_REGISTRIES_MINE_INDEX", false),
            ("CARGO_HTTP_PROXY", false),
            ("NEXTEST_UPLOAD_TOKEN", false),
            ("CARGO_MY_PASSWORD", false),
            ("HOME", false),
            ("PATH", false),
            ("RUSTFLAGS", false),
        ] {
            assert_eq!(is_passed(name), passed, "{name}");
        }
    }

    #[test]
    fn only_an_absolute_plain_path_is_a_path_of_the_guest() {
        assert_eq!(guest_path(Path::new("/home/me/a b")), Ok("/home/me/a b".into()));
        for path in ["relative", "/a/../b", ""] {
            assert!(guest_path(Path::new(path)).is_err(), "{path}");
        }
    }
}
