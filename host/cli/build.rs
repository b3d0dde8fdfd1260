//! Passes the commit of the source tree and the engine's version to the program.

#[path = "src/commit.rs"]
mod commit;
#[path = "src/locked.rs"]
mod locked;

use std::path::Path;

fn main() {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let root = Path::new(&manifest).ancestors().nth(2).expect("this crate lives in host/cli");
    let commit = commit::of(root);
    let name = commit.as_ref().map_or("", |commit| &commit.name);
    println!("cargo::rustc-env=SKEP_COMMIT={name}");
    let lock_file = root.join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock_file).expect("the workspace has a Cargo.lock");
    let engine = locked::locked(&lock, "wasmtime").expect("Cargo.lock lists the engine");
    println!("cargo::rustc-env=SKEP_ENGINE={engine}");
    println!("cargo::rerun-if-changed={}", lock_file.display());
    // Without these lines, cargo would watch only this crate's own files.
    let sources = commit::SOURCES.iter().map(|part| root.join(part));
    let moves = commit.iter().flat_map(|commit| commit.moves_with.iter().cloned());
    for path in sources.chain(moves) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
