//! Crates from crates.io whose own tests and examples run in Skep, by exact version and checksum.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guests::{self, run};
use crate::{Error, tree};

/// One version of a crate.
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

/// An asynchronous standard library for components, with a server of HTTP as an example. It is the
/// last version that Debian's compiler of guests can build.
pub const WSTD: Crate = Crate {
    name: "wstd",
    version: "0.5.3",
    checksum: "6515b13373b9dfbbe62e4426972253a15b74d93b1e2e95f92bbb2801c239a1d3",
};

/// Bindings of WASI, with an HTTP component without a library on top as an example.
pub const WASI: Crate = Crate {
    name: "wasi",
    version: "0.14.4+wasi-0.2.4",
    checksum: "88a5f4a424faf49c3c2c344f166f0662341d470ea185e939657aaff130f0ec4a",
};

/// Copies the sources of a crate into a folder, fetched by cargo if they are missing.
///
/// # Errors
/// [`Error::Failed`] with cargo's output if the registry cannot be reached, and
/// [`Error::WrongChecksum`].
pub fn copy(wanted: Crate, to: &Path) -> Result<(), Error> {
    let sources = ensure(wanted)?;
    let mut copy = Command::new("cp");
    copy.args(["-R", "--"]).arg(sources.join(".")).arg(to);
    run(&mut copy, &format!("copying {}", wanted.name)).map(drop)
}

/// Returns the component of one of a crate's examples, which is built if it is missing, with the
/// dependencies that the package locks. An example that is a library has no `main`.
///
/// # Errors
/// Those of [`copy`], and [`Error::Failed`] with the compiler's messages.
pub fn example(wanted: Crate, name: &str, is_library: bool) -> Result<PathBuf, Error> {
    let built = home(wanted).join(format!("{name}.wasm"));
    if built.exists() {
        return Ok(built);
    }
    // Outside the tree, where cargo does not take the package for a member of the workspace.
    let outside = tempfile::tempdir().map_err(Error::file("creating", std::env::temp_dir()))?;
    copy(wanted, outside.path())?;
    guests::example(outside.path(), name, is_library, &built)?;
    Ok(built)
}

/// Returns the folder of a crate and of what is built from it.
fn home(wanted: Crate) -> PathBuf {
    tree::root().join(format!("target/packages/crate-{}-{}", wanted.name, wanted.version))
}

/// Returns the folder of a crate's sources. Several processes and threads may call it at once.
fn ensure(wanted: Crate) -> Result<PathBuf, Error> {
    let Crate { name, version, checksum } = wanted;
    let folder = tree::root().join("target/packages");
    let home = home(wanted);
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
    for (file, text) in [("Cargo.toml", &*manifest), ("lib.rs", "")] {
        let path = scratch.path().join(file);
        fs::write(&path, text).map_err(Error::file("writing", path))?;
    }
    eprintln!("fetching {name} {version} from crates.io ...");
    let step = format!("fetching {name} (cargo vendor)");
    let mut cargo = Command::new("cargo");
    cargo.args(["vendor", "--quiet", "vendored"]).current_dir(&scratch);
    run(&mut cargo, &step)?;
    // Cargo compares what it fetches with the lock file, and the lock file with nothing.
    let lock = scratch.path().join("Cargo.lock");
    let locked = fs::read_to_string(&lock).map_err(Error::file("reading", lock))?;
    if !locked.contains(&format!("checksum = \"{checksum}\"")) {
        return Err(Error::WrongChecksum { what: format!("{name} {version}") });
    }
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).map_err(Error::file("creating", &home))?;
    let fetched = scratch.path().join("vendored").join(name);
    fs::rename(fetched, &sources).map_err(Error::file("writing", &sources))?;
    Ok(sources)
}
