//! Embeds the console: copies the files of `host/console/dist` for `src/console.rs`, so that a
//! console that is built meanwhile changes nothing under the compiler. Without that folder there are
//! none, so a build never needs node.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let manifest = env("CARGO_MANIFEST_DIR");
    let console = manifest.parent().expect("this crate lives in host/api").join("console");
    let dist = console.join("dist");
    // Cargo runs this again on every build while a watched path is missing, so the nearest folder
    // that exists is watched.
    let watched = [&dist, &console].into_iter().find(|folder| folder.is_dir());
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(watched) = watched {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    let out = env("OUT_DIR");
    let mut list = String::from("&[\n");
    for (index, name) in files(&dist)?.into_iter().enumerate() {
        let path = out.join(format!("console-{index}"));
        fs::write(&path, fs::read(dist.join(&name))?)?;
        list.push_str(&format!("    ({name:?}, include_bytes!({path:?})),\n"));
    }
    list.push_str("]\n");
    fs::write(out.join("console.rs"), list)
}

fn env(name: &str) -> PathBuf {
    std::env::var_os(name).map(PathBuf::from).expect("cargo sets it")
}

/// Returns the names of the files in a folder, with `/`, sorted; none if there is no such folder.
fn files(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}
