//! The NATS server, with which fleets are tested.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, debian, tree};

/// The oldest version that keeps what it has acknowledged: older ones gave one lease to two owners, or
/// cannot write to disk before they acknowledge.
const OLDEST: [u64; 2] = [2, 15];

/// Fetches the server from Debian's unstable suite into the target folder, unless it is there. Installs
/// nothing.
///
/// # Errors
/// [`Error::NoProgram`] if it cannot be fetched, or is too old.
pub fn ensure() -> Result<PathBuf, Error> {
    let folder = tree::root().join("target/tools");
    fs::create_dir_all(&folder).map_err(Error::file("creating", &folder))?;
    let lock = folder.join("nats.lock");
    let locked = File::create(&lock).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    let _lock = locked.map_err(Error::file("locking", &lock))?;
    let unpacked = folder.join("nats-server");
    let program = unpacked.join("usr/sbin/nats-server");
    let refused = |why: String| Error::NoProgram("nats-server".into(), why);
    if !program.exists() {
        eprintln!("fetching nats-server from Debian's unstable suite into target/tools ...");
        // What is there is of another version, or was begun.
        let _ = fs::remove_dir_all(&unpacked);
        debian::unpack_of_sid("nats-server", &unpacked).map_err(|why| refused(why.to_string()))?;
    }
    let version = version(&program);
    match version {
        Some(version) if version >= OLDEST => Ok(program),
        Some([major, minor]) => Err(refused(format!("{major}.{minor} is older than 2.15"))),
        None => Err(refused("it does not say its version".into())),
    }
}

/// Returns the version of a server: `nats-server: v2.15.1`.
fn version(program: &Path) -> Option<[u64; 2]> {
    let said = Command::new(program).arg("--version").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (_, version) = said.trim().split_once(": v")?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??])
}
