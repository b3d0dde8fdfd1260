//! Embeds the guest SDKs, the WIT and the examples that are the templates of `skep new`, so that the
//! program needs neither a network nor a checkout.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The embedded folders: the name of the constant, the folder in the tree, and the names to leave
/// out besides [`IGNORED`].
const FOLDERS: &[(&str, &str, &[&str])] = &[
    ("WIT", "wit", &["README.md"]),
    ("SDK_JS", "guest-sdk/js", &["tests", "README.md"]),
    ("SDK_PYTHON", "guest-sdk/python", &["tests", "README.md"]),
    ("SDK_C", "guest-sdk/c", &["tests", "README.md"]),
    ("COUNTER_RUST", "examples/counter", &[]),
    ("COUNTER_JS", "examples/counter-js", &[]),
    ("COUNTER_PYTHON", "examples/counter-python", &[]),
    ("COUNTER_C", "examples/counter-c", &[]),
    ("HELLO_RUST", "examples/hello", &[]),
    ("WEB_RUST", "examples/web", &[]),
    ("WEB_JS", "examples/web-js", &[]),
    ("WEB_PYTHON", "examples/web-python", &[]),
];

/// Output of builds and tools.
const IGNORED: &[&str] =
    &[".mypy_cache", ".skep", "__pycache__", "build", "dist", "node_modules", "target"];

fn main() {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let root = Path::new(&manifest).ancestors().nth(2).expect("this crate lives in host/project");
    let mut code = String::new();
    for (constant, folder, left_out) in FOLDERS {
        let folder = root.join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = Vec::new();
        collect(&folder, left_out, &mut files);
        files.sort();
        writeln!(code, "pub(crate) const {constant}: &[(&str, &[u8])] = &[").expect("to memory");
        for file in files {
            let name = file.strip_prefix(&folder).expect("it is below the folder");
            writeln!(code, "    ({name:?}, include_bytes!({file:?})),").expect("to memory");
        }
        writeln!(code, "];").expect("to memory");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("embedded.rs"), code).expect("the build directory is writable");
}

/// Lists the files below a folder. Links count as the files that they lead to.
fn collect(folder: &Path, left_out: &[&str], files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let skipped = |names: &[&str]| names.iter().any(|skip| name == *skip);
        if skipped(IGNORED) || skipped(left_out) || name.to_string_lossy().ends_with(".egg-info") {
            continue;
        }
        let path = entry.path();
        match path.is_dir() {
            true => collect(&path, &[], files),
            false => files.push(path),
        }
    }
}
