//! Tells the program which commit it is built of.

#[path = "src/commit.rs"]
mod commit;

use std::path::Path;

fn main() {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&manifest).ancestors().nth(2).expect("this crate lives in host/cli");
    let commit = commit::of(root);
    let name = commit.as_ref().map_or("", |commit| &commit.name);
    println!("cargo::rustc-env=SKEP_COMMIT={name}");
    // With none of them, cargo would look at this crate's own files alone.
    let sources = commit::SOURCES.iter().map(|part| root.join(part));
    let moves = commit.iter().flat_map(|commit| commit.moves_with.iter().cloned());
    for path in sources.chain(moves) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
