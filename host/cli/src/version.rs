//! The version of this program, the commit it was built from, and its engine.

use std::sync::LazyLock;

/// The versions of all its dependencies.
pub(crate) const LOCK: &str = include_str!("../../../Cargo.lock");

/// The commit that the build script found, or an empty string.
const COMMIT: &str = env!("SKEP_COMMIT");

/// The engine's version, which the build script found in `Cargo.lock`.
const ENGINE: &str = env!("SKEP_ENGINE");

/// Returns the text that `skep --version` prints after the name, such as
/// `0.1.0 (20876f1 2026-11-22, wasmtime 48.0.8)`.
pub(crate) fn text() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| version(env!("CARGO_PKG_VERSION"), COMMIT, ENGINE));
    &TEXT
}

fn version(own: &str, commit: &str, engine: &str) -> String {
    let commit = if commit.is_empty() { String::new() } else { format!("{commit}, ") };
    format!("{own} ({commit}wasmtime {engine})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_the_engine_and_the_commit_if_there_is_one() {
        let with = version("0.1.0", "20876f1 2026-11-22", "48.0.8");
        assert_eq!(with, "0.1.0 (20876f1 2026-11-22, wasmtime 48.0.8)");
        assert_eq!(version("0.1.0", "", "48.0.8"), "0.1.0 (wasmtime 48.0.8)");
        assert!(text().starts_with(env!("CARGO_PKG_VERSION")) && text().contains(COMMIT));
    }
}
