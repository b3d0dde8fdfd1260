//! Crates from crates.io whose own tests run in Skep, by exact version and checksum.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guests::run;
use crate::{Error, tree};

/// One version of a crate without dependencies.
#[derive(Clone, Copy, Debug)]
pub struct Crate {
    /// The name.
    pub name: &'static str,
    /// The only supported version.
    pub version: &'static str,
    /// The checksum of the package, as `Cargo.lock` has it.
    pub checksum: &'static str,
}

/// Versions and their order.
pub const SEMVER: Crate = Crate {
    name: "semver",
    version: "1.0.27",
    checksum: "d767eb0aabc880b29956c35734170f26ed551a859dbd361d140cdbeca61ab1e2",
};

/// Searches in bytes, with SIMD.
pub const MEMCHR: Crate = Crate {
    name: "memchr",
    version: "2.7.6",
    checksum: "f52b00d39961fc5b2736ea853c9cc86238e165017a493d1d5c8eac6bdc4cc273",
};

/// Copies the sources of a crate into a folder, fetched by cargo if they are missing.
///
/// # Errors
/// [`Error::Failed`] with cargo's output if the registry cannot be reached or the checksum differs.
pub fn copy(wanted: Crate, to: &Path) -> Result<(), Error> {
    let sources = ensure(wanted)?;
    let mut copy = Command::new("cp");
    copy.args(["-R", "--"]).arg(sources.join(".")).arg(to);
    run(&mut copy, &format!("copying {}", wanted.name)).map(drop)
}

/// Returns the folder of a crate's sources. Several processes and threads may call it at once.
fn ensure(wanted: Crate) -> Result<PathBuf, Error> {
    let Crate { name, version, checksum } = wanted;
    let folder = tree::root().join("target/packages");
    let home = folder.join(format!("crate-{name}-{version}"));
    let sources = home.join(name);
    fs::create_dir_all(&folder).map_err(Error::file("creating", &folder))?;
    let lock = File::create(folder.join("lock")).map_err(Error::file("creating", &folder))?;
    lock.lock().map_err(Error::file("locking", &folder))?;
    if sources.join("Cargo.toml").exists() {
        return Ok(sources);
    }
    let scratch = tempfile::tempdir_in(&folder).map_err(Error::file("creating", &folder))?;
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [lib]\npath = \"lib.rs\"\n\n[dependencies]\n{name} = \"={version}\"\n\n[workspace]\n"
    );
    let lock = format!(
        "version = 4\n\n[[package]]\nname = \"fetch\"\nversion = \"0.0.0\"\ndependencies = [\n \
         \"{name}\",\n]\n\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \
         \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{checksum}\"\n"
    );
    for (file, text) in [("Cargo.toml", &*manifest), ("Cargo.lock", &*lock), ("lib.rs", "")] {
        let path = scratch.path().join(file);
        fs::write(&path, text).map_err(Error::file("writing", path))?;
    }
    eprintln!("fetching {name} {version} from crates.io ...");
    let mut cargo = Command::new("cargo");
    cargo.args(["vendor", "--quiet", "--locked", "vendored"]).current_dir(&scratch);
    run(&mut cargo, &format!("fetching {name} (cargo vendor)"))?;
    let _ = fs::remove_dir_all(&home);
    fs::rename(scratch.path().join("vendored"), &home).map_err(Error::file("writing", &home))?;
    Ok(sources)
}
