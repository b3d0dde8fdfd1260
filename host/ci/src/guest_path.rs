//! Paths that a guest sees.

/// The guest's output directory.
pub const OUT: &str = "/out";

/// The guest's temporary directory.
pub const TMP: &str = "/tmp";

/// Parses the absolute path of a directory and removes slashes at its end.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    if text.starts_with('/') && trimmed.is_empty() {
        return Ok("/".into());
    }
    match trimmed.strip_prefix('/').is_some_and(is_relative) {
        true => Ok(trimmed.to_owned()),
        false => Err(format!("`{text}` is no absolute path without `.` and `..`")),
    }
}

/// Maximum length of a path, as on Linux.
const MOST_LENGTH: usize = 4_096;

/// Maximum number of parts of a path. Trees are built by recursion.
const MOST_PARTS: usize = 250;

/// Returns true for a path without empty parts, `.` and `..`, that is not too long.
pub(crate) fn is_relative(path: &str) -> bool {
    path.len() <= MOST_LENGTH
        && path.split('/').count() <= MOST_PARTS
        && path.split('/').all(crate::tree::is_name)
}

/// Returns the writable directory of each step that a path is in.
pub(crate) fn own(path: &str) -> Option<&'static str> {
    [OUT, TMP].into_iter().find(|own| below(path, own).is_some())
}

/// Returns true if a directory can be mapped there: a path as [`parse`] returns it, and not within
/// the writable directories.
pub(crate) fn is_mount(path: &str) -> bool {
    parse(path).is_ok_and(|parsed| parsed == path) && own(path).is_none()
}

/// Returns the part of a path below a directory; `Some("")` for the directory itself.
pub(crate) fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(directory.trim_end_matches('/'))?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(rest),
        None => rest.is_empty().then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_mapped_at_a_plain_path_outside_of_those_of_the_step() {
        for good in ["/", "/a", "/a/b.c", "/outer"] {
            assert!(is_mount(good), "{good}");
        }
        let deep = "/a".repeat(500_000);
        for bad in ["", "a", "/a/", "/a/../b", "/./a", "/out", "/out/x", "/tmp", &deep] {
            assert!(!is_mount(bad), "{}", &bad[..bad.len().min(20)]);
        }
    }
}
