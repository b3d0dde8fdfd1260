//! Passes the commit of the source tree to the program.

#[path = "src/commit.rs"]
mod commit;

use std::path::Path;

fn main() {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let root = Path::new(&manifest).ancestors().nth(2).expect("this crate lives in host/cli");
    let commit = commit::of(root);
    let name = commit.as_ref().map_or("", |commit| &commit.name);
    println!("cargo::rustc-env=SKEP_COMMIT={name}");
    // Without these lines, cargo would watch only this crate's own files.
    let sources = commit::SOURCES.iter().map(|part| root.join(part));
    let moves = commit.iter().flat_map(|commit| commit.moves_with.iter().cloned());
    for path in sources.chain(moves) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
