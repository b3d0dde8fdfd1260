//! The versions in a `Cargo.lock`. The build script uses this too.

/// Returns the version of a package in a `Cargo.lock`.
pub(crate) fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("\nname = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}
