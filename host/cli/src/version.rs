//! What this program is: its version, the commit that it was built of, and its engine.

use std::sync::LazyLock;

/// The versions of all that it is built of.
pub(crate) const LOCK: &str = include_str!("../../../Cargo.lock");

/// As the build script found it; nothing where there was none.
const COMMIT: &str = env!("SKEP_COMMIT");

/// What `skep --version` says after the name, as in `0.1.0 (20876f1 2026-11-22, wasmtime 48.0.8)`.
pub(crate) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let engine = locked(LOCK, "wasmtime").expect("the engine is a part of this program");
        written(env!("CARGO_PKG_VERSION"), COMMIT, engine)
    });
    &TEXT
}

/// The version of a package in a `Cargo.lock`.
pub(crate) fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("\nname = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}

fn written(version: &str, commit: &str, engine: &str) -> String {
    let commit = if commit.is_empty() { String::new() } else { format!("{commit}, ") };
    format!("{version} ({commit}wasmtime {engine})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_the_commit_where_there_is_one_and_the_engine() {
        let with = written("0.1.0", "20876f1 2026-11-22", "48.0.8");
        assert_eq!(with, "0.1.0 (20876f1 2026-11-22, wasmtime 48.0.8)");
        assert_eq!(written("0.1.0", "", "48.0.8"), "0.1.0 (wasmtime 48.0.8)");
        assert!(text().starts_with(env!("CARGO_PKG_VERSION")) && text().contains(COMMIT));
    }
}
