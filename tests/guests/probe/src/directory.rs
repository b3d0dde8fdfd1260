//! Verbs on a directory.

use std::fs::{self, File};

use crate::answer::{Answer, Verdict, ok};

/// Prints one name per line, sorted here; directories end in `/`. Or prints the error, with the
/// number of names before it.
pub fn list(path: &str) -> Verdict {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry.map_err(|error| Answer::RefusedAfter(error, names.len() as u64))?;
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok((!names.is_empty()).then(|| names.join("\n")))
}

pub fn create(path: &str) -> Verdict {
    ok(fs::create_dir(path))
}

pub fn remove(path: &str) -> Verdict {
    ok(fs::remove_dir(path))
}

/// Creates that many empty files `file-0`, `file-1` and so on: `made <count>`, or the error with
/// the number made before it.
pub fn fill(path: &str, count: u64) -> Verdict {
    for made in 0..count {
        File::create(format!("{path}/file-{made}"))
            .map_err(|error| Answer::RefusedAfter(error, made))?;
    }
    Ok(Some(format!("made {count}")))
}
