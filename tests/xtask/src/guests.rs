//! The guests that tests and the demo run, built into `target/guests`.
//!
//! Cargo is not asked whether they are current: that alone would take longer than a whole warm call
//! here may. A stamp beside each artifact has the hash of its inputs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::fingerprint::{self, Fingerprint};
use crate::toolchain::{Target, Toolchain};
use crate::{Error, tree, vendor};

/// The output of one package for one target: a guest, or a folder of guests.
#[derive(Debug)]
pub struct Artifact {
    /// The package's name, which is also the name of the file without `.wasm`, or of the folder.
    pub guest: &'static str,
    /// The guest's sources, relative to the root of the tree.
    pub source: &'static str,
    pub(crate) shape: Shape,
    pub(crate) target: Target,
}

/// The kinds of guest crates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A program with a `main`.
    Command,
    /// A program for each file of `src/bin`.
    Commands,
    /// A library that exports a handler, made with the SDK.
    Service,
}

/// All artifacts.
pub const ARTIFACTS: &[Artifact] = &[
    Artifact::new("hello", "examples/hello", Shape::Command, Target::Wasip2),
    Artifact::new("counter", "examples/counter", Shape::Service, Target::Wasip2),
    Artifact::new("probe", "tests/guests/probe", Shape::Command, Target::Wasip2),
    Artifact::new("scribe", "tests/guests/scribe", Shape::Service, Target::Wasip2),
    Artifact::new("echo", "tests/guests/echo", Shape::Service, Target::Wasip2),
    Artifact::new(
        "conformance_rust",
        "tests/guests/conformance-rust",
        Shape::Service,
        Target::Wasip2,
    ),
    Artifact::new("caller", "tests/guests/caller", Shape::Service, Target::Wasip2),
    Artifact::new("requester", "tests/guests/requester", Shape::Command, Target::Wasip2),
    Artifact::new("concurrent", "tests/guests/concurrent", Shape::Service, Target::Wasip2),
    Artifact::new("concurrent_web", "tests/guests/concurrent-web", Shape::Service, Target::Wasip2),
    Artifact::new("web", "examples/web", Shape::Service, Target::Wasip2),
    Artifact::new("streams", "examples/streams", Shape::Service, Target::Wasip2),
    Artifact::new("responder", "tests/guests/responder", Shape::Service, Target::Wasip2),
    Artifact::new("website", "tests/guests/website", Shape::Service, Target::Wasip2),
    Artifact::new("tally", "tests/guests/tally", Shape::Service, Target::Wasip2),
    Artifact::new("hostile", "tests/guests/hostile", Shape::Commands, Target::Wasip2),
    Artifact::new("misbehaves", "tests/guests/hostile/service", Shape::Service, Target::Wasip2),
    Artifact::new("hello", "examples/hello", Shape::Command, Target::Wasip1),
    Artifact::new("probe", "tests/guests/probe", Shape::Command, Target::Wasip1),
];

impl Artifact {
    const fn new(guest: &'static str, source: &'static str, shape: Shape, target: Target) -> Self {
        Self { guest, source, shape, target }
    }

    /// Returns `target/guests/NAME.wasm`, or `target/guests/preview1/NAME.wasm`, which is a core
    /// module, or the folder `target/guests/NAME`.
    pub fn path(&self) -> PathBuf {
        folder().join(self.name())
    }

    /// Returns the path within `target/guests`.
    fn name(&self) -> String {
        match (self.shape, self.target) {
            (Shape::Commands, _) => self.guest.to_owned(),
            (_, Target::Wasip2) => format!("{}.wasm", self.guest),
            (_, Target::Wasip1) => format!("preview1/{}.wasm", self.guest),
        }
    }

    /// Lists its programs: the compiler's file name, and the destination.
    fn files(&self) -> Result<Vec<(String, PathBuf)>, Error> {
        if self.shape != Shape::Commands {
            return Ok(vec![(format!("{}.wasm", self.guest), self.path())]);
        }
        let mut files = Vec::new();
        for name in tree::sources(&self.source().join("src/bin"))? {
            let name = format!("{}.wasm", name.with_extension("").display());
            let path = self.path().join(&name);
            files.push((name, path));
        }
        Ok(files)
    }

    fn stamp(&self) -> PathBuf {
        folder().join("stamps").join(self.name().replace('/', "-"))
    }

    fn source(&self) -> PathBuf {
        tree::root().join(self.source)
    }
}

/// Returns the folder of the artifacts.
pub fn folder() -> PathBuf {
    tree::root().join("target/guests")
}

/// Makes a `cargo test` for preview1 modules, or for components, with this runner. Its working
/// directory is that of a package; what it builds goes to `target/runner`, so that all share one standard
/// library.
///
/// # Errors
/// [`Error::NoToolchain`] if there is no compiler and none can be installed.
pub fn cargo_test(is_component: bool, runner: &str) -> Result<Command, Error> {
    let target = if is_component { Target::Wasip2 } else { Target::Wasip1 };
    let _lock = lock()?;
    let mut cargo = Toolchain::find(target, &folder())?.test(target);
    cargo.env(target.variable("RUNNER"), runner);
    cargo.env("CARGO_TARGET_DIR", tree::root().join("target/runner"));
    Ok(cargo)
}

/// Builds a component from an example of the package in `folder`, and copies it to `to` unless it is
/// there. Examples that are libraries have no `main`.
pub(crate) fn example(folder: &Path, name: &str, is_library: bool, to: &Path) -> Result<(), Error> {
    let _lock = lock()?;
    // Another process may have built it while this one waited.
    if to.exists() {
        return Ok(());
    }
    let toolchain = Toolchain::find(Target::Wasip2, &self::folder())?;
    let shape = if is_library { Shape::Service } else { Shape::Command };
    let intermediate = self::folder().join("build");
    let mut cargo = toolchain.cargo(Target::Wasip2, shape, &["--example", name]);
    cargo.current_dir(folder).env("CARGO_TARGET_DIR", &intermediate);
    eprintln!("building {name} ...");
    run(&mut cargo, &format!("building the example {name}"))?;
    let file = if is_library { name.replace('-', "_") } else { name.to_owned() };
    let made = intermediate.join(Target::Wasip2.name()).join("release/examples");
    let made = made.join(format!("{file}.wasm"));
    check(&made, Target::Wasip2)?;
    publish(&made, to).map(drop)
}

/// Builds every outdated artifact and returns those. Silent if all are current; otherwise it
/// reports on stderr. Several processes may call it at once.
///
/// # Errors
/// [`Error::NoToolchain`] if there is no compiler and none can be installed, [`Error::Failed`] with
/// the compiler's messages, and the errors of files.
pub fn ensure() -> Result<Vec<&'static Artifact>, Error> {
    ensure_each(ARTIFACTS.iter())
}

/// Does the same as [`ensure`] for the components of these guests only.
///
/// # Errors
/// [`Error::UnknownGuest`], and those of [`ensure`].
pub fn ensure_components(guests: &[&str]) -> Result<Vec<&'static Artifact>, Error> {
    let component = |name: &&str| {
        ARTIFACTS
            .iter()
            .find(|artifact| artifact.guest == *name && artifact.target == Target::Wasip2)
            .ok_or_else(|| Error::UnknownGuest((*name).to_owned()))
    };
    let artifacts: Vec<_> = guests.iter().map(component).collect::<Result<_, _>>()?;
    ensure_each(artifacts.into_iter())
}

fn ensure_each(
    artifacts: impl Iterator<Item = &'static Artifact>,
) -> Result<Vec<&'static Artifact>, Error> {
    let _lock = lock()?;
    let mut toolchains: Vec<(Target, Toolchain)> = Vec::new();
    let mut built = Vec::new();
    for artifact in artifacts {
        if !toolchains.iter().any(|(target, _)| *target == artifact.target) {
            toolchains.push((artifact.target, Toolchain::find(artifact.target, &folder())?));
        }
        let (_, toolchain) = toolchains
            .iter()
            .find(|(target, _)| *target == artifact.target)
            .expect("the target was added above");

        let made_from = made_from(artifact, toolchain)?;
        if is_current(artifact, &made_from)? {
            continue;
        }
        build(artifact, toolchain)?;
        stamp(artifact, &made_from)?;
        built.push(artifact);
    }
    Ok(built)
}

/// Locks out other processes that check and build, until the lock is dropped or the process ends.
fn lock() -> Result<File, Error> {
    let path = folder().join("lock");
    fs::create_dir_all(folder()).map_err(Error::file("creating", folder()))?;
    let file = File::create(&path).map_err(Error::file("creating", &path))?;
    file.lock().map_err(Error::file("locking", &path))?;
    Ok(file)
}

fn made_from(artifact: &Artifact, toolchain: &Toolchain) -> Result<String, Error> {
    let mut fingerprint = Fingerprint::new()
        .fact(toolchain.id())
        .fact(artifact.target.name())
        .folder(&artifact.source())?;
    if artifact.shape == Shape::Service {
        fingerprint = fingerprint.folder(&tree::root().join(vendor::ORIGINAL))?;
    }
    Ok(fingerprint.finish())
}

fn is_current(artifact: &Artifact, made_from: &str) -> Result<bool, Error> {
    let stamp = fs::read_to_string(artifact.stamp()).unwrap_or_default();
    let content = content(artifact)?;
    Ok(content.is_some_and(|content| stamp == format!("{made_from} {content}")))
}

fn stamp(artifact: &Artifact, made_from: &str) -> Result<(), Error> {
    let path = artifact.stamp();
    let content = content(artifact)?.unwrap_or_default();
    fs::create_dir_all(folder().join("stamps")).map_err(Error::file("creating", &path))?;
    fs::write(&path, format!("{made_from} {content}")).map_err(Error::file("writing", &path))
}

/// Returns the hash of an artifact's files, or `None` if one is missing.
fn content(artifact: &Artifact) -> Result<Option<String>, Error> {
    let mut hashes = Fingerprint::new();
    for (_, path) in artifact.files()? {
        match fingerprint::of_file(&path) {
            Some(hash) => hashes = hashes.fact(&hash),
            None => return Ok(None),
        }
    }
    Ok(Some(hashes.finish()))
}

fn build(artifact: &Artifact, toolchain: &Toolchain) -> Result<(), Error> {
    let start = Instant::now();
    eprintln!("building {} ...", artifact.name());
    let intermediate = folder().join("build");
    let mut cargo = toolchain.cargo(artifact.target, artifact.shape, &[]);
    cargo.current_dir(artifact.source()).env("CARGO_TARGET_DIR", &intermediate);
    run(&mut cargo, &format!("building {}", artifact.name()))?;

    if artifact.shape == Shape::Commands {
        // Removes programs whose source is gone.
        match fs::remove_dir_all(artifact.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("removing", artifact.path())(error));
            }
            _ => {}
        }
    }
    let made = intermediate.join(artifact.target.name()).join("release");
    let mut bytes = 0;
    for (name, path) in artifact.files()? {
        check(&made.join(&name), artifact.target)?;
        bytes += publish(&made.join(&name), &path)?;
    }
    eprintln!(
        "built {} in {:.1} s, {} KiB",
        artifact.name(),
        start.elapsed().as_secs_f32(),
        bytes >> 10
    );
    Ok(())
}

/// Refuses a core module instead of a component, and vice versa: the linker silently falls back to
/// a module.
fn check(path: &Path, target: Target) -> Result<(), Error> {
    let (expected, header) = match target {
        Target::Wasip2 => ("component", b"\0asm\x0d\0\x01\0"),
        Target::Wasip1 => ("core module", b"\0asm\x01\0\0\0"),
    };
    let mut found = [0; 8];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut found))
        .map_err(Error::file("reading", path))?;
    if found == *header {
        Ok(())
    } else {
        Err(Error::WrongArtifact { path: path.to_owned(), expected })
    }
}

/// Copies a file atomically for readers. Returns its length.
fn publish(from: &Path, to: &Path) -> Result<u64, Error> {
    // The builder holds the lock, so the name is free.
    let new = to.with_extension("new");
    let copy = || {
        fs::create_dir_all(to.parent().expect("an artifact has a folder"))?;
        let bytes = fs::copy(from, &new)?;
        fs::rename(&new, to)?;
        Ok(bytes)
    };
    copy().map_err(Error::file("writing", to))
}

/// Runs the guests' own tests natively. An example is tested in a copy outside the tree, as a
/// reader will have it. A folder of programs has no tests: they call functions that only a host
/// has.
///
/// # Errors
/// [`Error::Failed`] with the tests' output.
pub fn test() -> Result<(), Error> {
    let outside = tempfile::tempdir().map_err(Error::file("creating", std::env::temp_dir()))?;
    let tested = |artifact: &&Artifact| {
        artifact.target == Target::Wasip2 && artifact.shape != Shape::Commands
    };
    for artifact in ARTIFACTS.iter().filter(tested) {
        let mut source = artifact.source();
        if artifact.source.starts_with("examples/") {
            let copy = outside.path().join(artifact.guest);
            tree::copy(&source, &copy)?;
            source = copy;
        }
        eprintln!("testing {} ...", artifact.guest);
        let mut cargo = Command::new("cargo");
        cargo
            .args(["test", "--quiet", "--locked"])
            .current_dir(source)
            .env("CARGO_TARGET_DIR", folder().join("native"));
        run(&mut cargo, &format!("testing {}", artifact.guest))?;
    }
    Ok(())
}

/// Runs a program to its end. Its output is shown only if it fails.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<String, Error> {
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|source| Error::NotStarted { what: what.to_owned(), source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::Failed {
        what: what.to_owned(),
        status: output.status,
        output: text(&output.stdout) + &text(&output.stderr),
    })
}

/// Writes a script that builds a service in the working directory, for a program that wants to be
/// told a cargo. It ignores its arguments.
///
/// # Errors
/// [`Error::NoToolchain`] and [`Error::File`].
pub fn write_cargo(path: &Path) -> Result<(), Error> {
    let toolchain = Toolchain::find(Target::Wasip2, &folder())?;
    let cargo = toolchain.cargo(Target::Wasip2, Shape::Service, &[]);
    let quoted = |word: &OsStr| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"));
    let mut script = "#!/bin/sh\n".to_owned();
    for (name, value) in cargo.get_envs() {
        let name = name.to_string_lossy();
        match value {
            Some(value) => script.push_str(&format!("export {name}={}\n", quoted(value))),
            None => script.push_str(&format!("unset {name}\n")),
        }
    }
    let words = std::iter::once(cargo.get_program()).chain(cargo.get_args());
    let words: Vec<_> = words.map(quoted).collect();
    // The standard library is built once for all packages. Their names must differ.
    let shared = folder().join("authors");
    fs::create_dir_all(&shared).map_err(Error::file("creating", &shared))?;
    let shared = quoted(shared.as_os_str());
    script.push_str(&format!("[ -e target ] || ln -s {shared} target\n"));
    script.push_str(&format!("exec {}\n", words.join(" ")));
    fs::write(path, script).map_err(Error::file("writing", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(Error::file("writing", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_of_guests_is_in_the_table() {
        for parent in ["examples", "tests/guests"] {
            for entry in fs::read_dir(tree::root().join(parent)).unwrap() {
                let entry = entry.unwrap();
                // A workspace member is a program of the host's.
                let manifest = fs::read_to_string(entry.path().join("Cargo.toml"));
                if manifest.is_ok_and(|manifest| manifest.contains("version.workspace")) {
                    continue;
                }
                if !entry.path().join("Cargo.toml").exists() {
                    continue;
                }
                let source = format!("{parent}/{}", entry.file_name().to_string_lossy());
                assert!(
                    ARTIFACTS.iter().any(|artifact| artifact.source == source),
                    "{source} is not in the table"
                );
            }
        }
    }

    #[test]
    fn every_guest_builds_by_itself() {
        for artifact in ARTIFACTS {
            let manifest = fs::read_to_string(artifact.source().join("Cargo.toml")).unwrap();
            assert!(manifest.contains("\n[workspace]\n"), "{}", artifact.source);
            assert!(artifact.source().join("Cargo.lock").exists(), "{}", artifact.source);
            assert!(artifact.source().join(".gitignore").exists(), "{}", artifact.source);
        }
    }

    #[test]
    fn a_core_module_is_not_accepted_as_a_component() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guest.wasm");
        fs::write(&path, b"\0asm\x01\0\0\0").unwrap();
        assert!(matches!(check(&path, Target::Wasip2), Err(Error::WrongArtifact { .. })));
        assert!(check(&path, Target::Wasip1).is_ok());
    }
}
