//! The artefacts under test: the conformance guest in each language, and in the runner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use skep_harness::{root, skep};

use crate::worker::Guest;

/// An artefact that answers as tests/guests/conformance-*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Artefact {
    Rust,
    Js,
    Python,
    C,
    /// The source of [`Artefact::Js`], evaluated by the runner of `skep dev`.
    JsRunner,
    /// The source of [`Artefact::Python`], evaluated by the runner of `skep dev`.
    PythonRunner,
}

impl Artefact {
    /// Returns the language of `skep new --lang`.
    pub(crate) fn language(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Js | Self::JsRunner => "js",
            Self::Python | Self::PythonRunner => "python",
            Self::C => "c",
        }
    }

    /// Returns the runner of a language that has one.
    pub(crate) fn of_runner(language: &str) -> Self {
        if language == "js" { Self::JsRunner } else { Self::PythonRunner }
    }

    /// Returns true if the language has exceptions, promises and timers.
    pub(crate) fn is_dynamic(self) -> bool {
        !matches!(self, Self::Rust | Self::C)
    }

    /// Returns the component, and the bundle of a runner. They are built once.
    pub(crate) fn built(self) -> Guest {
        let component = |component| Guest { component, app: None };
        match self {
            Self::Rust => component(skep_harness::guest("conformance_rust")),
            Self::Js | Self::Python | Self::C => component(build(self.language())),
            Self::JsRunner | Self::PythonRunner => {
                build(self.language());
                runner(self.language())
            }
        }
    }
}

/// Returns the folder of the tools that all tests share.
pub(crate) fn tools() -> PathBuf {
    root().join("target/author-tools")
}

/// Returns a `skep` command with the shared tools.
pub(crate) fn command() -> Command {
    let mut command = Command::new(skep());
    command
        .env("SKEP_TOOLS", tools())
        .env("XDG_CACHE_HOME", skep_harness::shared_cache())
        .env_remove("SKEP_LOG");
    command
}

/// Returns a `skep` command that builds Rust with the tests' own toolchain.
pub(crate) fn rust_command() -> Command {
    static CARGO: LazyLock<PathBuf> = LazyLock::new(|| {
        std::fs::create_dir_all(tools()).unwrap();
        let path = tools().join("cargo-for-guests");
        xtask::guests::write_cargo(&path).unwrap();
        path
    });
    let mut command = command();
    command.env("SKEP_CARGO", &*CARGO);
    command
}

/// Runs a command that must succeed, and returns its standard output and error.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> (String, String) {
    let ran = command.output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&ran.stdout), text(&ran.stderr));
    assert!(ran.status.success(), "{command:?}: {}\n{out}\n{err}", ran.status);
    (out, err)
}

/// Returns the folder of the conformance guest, copied so that its build stays out of the sources.
fn project(language: &str) -> PathBuf {
    let project = root().join("target/authors").join(language);
    std::fs::create_dir_all(&project).unwrap();
    let from = root().join("tests/guests").join(format!("conformance-{language}"));
    let src = project.join("src");
    if src.exists() {
        std::fs::remove_dir_all(&src).unwrap();
    }
    succeed(Command::new("cp").arg("-r").arg(from.join(".")).arg(&project));
    project
}

/// Builds the conformance guest of a language once per process.
fn build(language: &'static str) -> PathBuf {
    static BUILT: LazyLock<Mutex<BTreeMap<&str, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap();
    built
        .entry(language)
        .or_insert_with(|| {
            let project = project(language);
            succeed(command().arg("build").arg("--project").arg(&project));
            project.join("build").join(format!("conformance-{language}.wasm"))
        })
        .clone()
}

/// Builds the runner of a language, and bundles the conformance guest for it.
fn runner(language: &'static str) -> Guest {
    static BUILT: LazyLock<Mutex<BTreeMap<&str, Guest>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap();
    built
        .entry(language)
        .or_insert_with(|| {
            let project = root().join("target/authors").join(language);
            let runner = project.join("runner.wasm");
            let app = project.join("app");
            std::fs::create_dir_all(&app).unwrap();
            succeed(sdk_build(&project, language).arg("--runner").arg("--out").arg(&runner));
            succeed(&mut bundle(&project, language, &app));
            Guest { component: runner, app: Some(app) }
        })
        .clone()
}

/// Puts the SDK of the conformance guest into another project.
pub(crate) fn unpack(project: &Path, language: &str) {
    let from = root().join("target/authors").join(language).join(".skep");
    succeed(Command::new("cp").arg("-r").arg(from).arg(project));
    if language == "js" {
        let scope = project.join("node_modules/@skep");
        std::fs::create_dir_all(&scope).unwrap();
        std::os::unix::fs::symlink("../../.skep/sdk/js", scope.join("guest")).unwrap();
    }
}

/// Returns the command that bundles a project's source into a folder.
pub(crate) fn bundle(project: &Path, language: &str, app: &Path) -> Command {
    let bundle = if language == "js" { app.join("worker.js") } else { app.to_path_buf() };
    let mut command = sdk_build(project, language);
    command.arg("--bundle-only").arg(bundle);
    command
}

/// Returns the build program of an SDK, as `skep dev` calls it.
fn sdk_build(project: &Path, language: &str) -> Command {
    let prefix = format!("{language}-");
    let packages = std::fs::read_dir(tools()).unwrap().map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| {
        path.is_dir() && path.file_name().unwrap().to_str().unwrap().starts_with(&prefix)
    };
    let packages =
        packages.filter(is_ours).max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    let packages = packages.unwrap();
    let (program, script, entry) = match language {
        "js" => (PathBuf::from("node"), "build.mjs", "src/worker.js"),
        _ => (packages.join("bin/python"), "build.py", "src/worker.py"),
    };
    let mut command = Command::new(program);
    command.arg(project.join(".skep/sdk").join(language).join(script));
    command.arg("--project").arg(project).args(["--entry", entry]);
    command.arg("--wit").arg(project.join(".skep/sdk/wit")).arg("--tools").arg(packages);
    command
}
