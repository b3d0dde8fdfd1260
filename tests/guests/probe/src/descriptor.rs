//! Holds descriptors until the host gives no more.

use crate::answer::Verdict;

/// Opens the file again and again and keeps every descriptor until one is refused: `opened <count>,
/// then <error>`. The error is WASI's own name (`insufficient-memory`) in a component, otherwise
/// `<ErrorKind> (<raw code>)`.
#[cfg(all(target_os = "wasi", target_env = "p2"))]
pub fn open_many(path: &str) -> Verdict {
    use std::io;

    use wasip2::filesystem::preopens::get_directories;
    use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};

    // Bypasses libc, whose table in the preview1 adapter ends at 128.
    let preopens = get_directories();
    let inside = |root: &str| path.strip_prefix(root)?.strip_prefix('/');
    let (directory, path) = preopens
        .iter()
        .find_map(|(directory, root)| Some((directory, inside(root)?)))
        .ok_or(io::ErrorKind::NotFound)
        .map_err(io::Error::from)?;
    let mut held = Vec::new();
    loop {
        let opened =
            directory.open_at(PathFlags::empty(), path, OpenFlags::empty(), DescriptorFlags::READ);
        match opened {
            Ok(descriptor) => held.push(descriptor),
            Err(code) => {
                return Ok(Some(format!("opened {}, then {}", held.len(), code.name())));
            }
        }
    }
}

#[cfg(not(all(target_os = "wasi", target_env = "p2")))]
pub fn open_many(path: &str) -> Verdict {
    let mut held = Vec::new();
    loop {
        match std::fs::File::open(path) {
            Ok(file) => held.push(file),
            Err(error) => {
                let reason = crate::answer::reason(&error);
                return Ok(Some(format!("opened {}, then {reason}", held.len())));
            }
        }
    }
}
