//! Building a project's component with the language's tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::bundler::Bundler;
use crate::error::ProjectError;
use crate::language::{Kind, Language};
use crate::program;
use crate::project::Project;
use crate::sdk::{self, UnpackedSdk};
use crate::toolchain::{Toolchain, ToolsPlace};

/// The target of Rust guests.
const TARGET: &str = "wasm32-wasip2";

/// The folders of a project that Skep writes to, each after the one that it is in.
const WRITTEN: &[&str] = &["build", ".skep", ".skep/dev", ".skep/sdk", ".skep/tools"];

/// A project whose SDK is unpacked and whose tools are installed.
#[derive(Clone, Debug)]
pub struct Builder {
    project: Project,
    sdk: UnpackedSdk,
    toolchain: Toolchain,
    /// Started by the first bundle of JavaScript.
    bundler: Arc<Mutex<Option<Bundler>>>,
}

/// A component that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The file.
    pub path: PathBuf,
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Time that the build took.
    pub took: Duration,
}

impl Builder {
    /// Unpacks the SDK and installs the tools, if that was not done yet, and the project's own
    /// dependencies, if their lock file has changed. `progress` is told each line of it.
    ///
    /// # Errors
    /// `tool_missing` and `io`.
    pub fn prepare(
        project: Project,
        place: &ToolsPlace,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self, ProjectError> {
        for folder in WRITTEN {
            refuse_link(&project.root().join(folder))?;
        }
        let language = project.manifest().lang;
        let sdk = sdk::unpack(&project.private(), language)?;
        let toolchain = Toolchain::ready(language, &sdk, place, progress)?;
        match language {
            Language::Js => {
                link_sdk(project.root(), &sdk)?;
                install_npm_packages(&project, progress)?;
            }
            Language::Python => install_python_packages(&project, &toolchain, progress)?,
            Language::Rust | Language::C => {}
        }
        Ok(Self { project, sdk, toolchain, bundler: Arc::default() })
    }

    /// Returns the project.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Builds the component. `progress` is told each line that the tools print.
    ///
    /// # Errors
    /// `build_failed` with what the tools said, `tool_missing` and `io`.
    pub fn build(&self, progress: &mut dyn FnMut(&str)) -> Result<Built, ProjectError> {
        let began = Instant::now();
        let component = self.project.component();
        let folder = component.parent().expect("a component is in a folder");
        fs::create_dir_all(folder).map_err(ProjectError::file("create", folder))?;
        let command = &self.project.manifest().build.command;
        match (command.split_first(), self.project.manifest().lang) {
            (Some((program, words)), _) => self.build_by(program, words, &component, progress)?,
            (None, Language::Rust) => self.build_rust(&component, progress)?,
            (None, Language::C) => {
                self.run(self.program(&["--out"]).arg(&component), progress)?;
                crate::component::from_core(&component, &self.sdk.wit)?;
            }
            (None, _) => {
                self.run(self.program(&["--out"]).arg(&component), progress)?;
            }
        }
        let bytes = fs::metadata(&component).map_err(ProjectError::file("read", &component))?.len();
        Ok(Built { path: component, bytes, took: began.elapsed() })
    }

    /// Bundles the source for the runner into a folder that exists.
    ///
    /// # Errors
    /// `build_failed`, `tool_missing` and `io`.
    pub fn bundle(
        &self,
        folder: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Duration, ProjectError> {
        let began = Instant::now();
        let (out, said) = match self.project.manifest().lang {
            Language::Js => {
                let out = folder.join("worker.js");
                let said = self.bundle_by_bundler(&out);
                (out, said)
            }
            _ => (folder.to_path_buf(), None),
        };
        match said {
            Some(said) => said?,
            None => self.run(self.program(&["--bundle-only"]).arg(out), progress)?,
        }
        Ok(began.elapsed())
    }

    /// Bundles by a process that stays. Returns `None` if there is none, and it cannot be started.
    fn bundle_by_bundler(&self, out: &Path) -> Option<Result<(), ProjectError>> {
        let mut bundler = self.bundler.lock().unwrap_or_else(PoisonError::into_inner);
        if bundler.is_none() {
            *bundler = Bundler::start(&mut self.program(&["--serve"])).ok();
        }
        let bundled = bundler.as_mut()?.bundle(self.project.manifest().entry(), out);
        match bundled {
            Ok(said) => Some(said.map_err(|said| ProjectError::new("build_failed", said))),
            Err(_) => {
                *bundler = None;
                None
            }
        }
    }

    /// Returns the runner of a language that has one, building it if it is not there yet. The name
    /// of the file has the hash of the SDK, so that it is never stale.
    ///
    /// # Errors
    /// `build_failed`, `tool_missing` and `io`.
    pub fn runner(
        &self,
        place: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, ProjectError> {
        let language = self.project.manifest().lang;
        let hash = sdk::hash(language.sdk());
        let runner = place.join(format!("{language}-{}.wasm", &hash[..16]));
        if !runner.exists() {
            fs::create_dir_all(place).map_err(ProjectError::file("create", place))?;
            let draft = place.join(format!(".{language}-{}.wasm", std::process::id()));
            self.run(self.program(&["--runner", "--out"]).arg(&draft), progress)?;
            fs::rename(&draft, &runner).map_err(ProjectError::file("write", &runner))?;
        }
        Ok(runner)
    }

    /// Returns the command of the unit tests, if the project has any.
    ///
    /// # Errors
    /// `tool_missing`.
    pub fn unit_tests(&self) -> Result<Option<Command>, ProjectError> {
        let manifest = self.project.manifest();
        let mut command = match (&manifest.test.command, manifest.lang) {
            (Some(words), _) => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]);
                command
            }
            (None, Language::Js) => {
                let files = self.files_in_tests(|name| {
                    [".test.js", ".test.mjs"].iter().any(|end| name.ends_with(end))
                });
                if files.is_empty() {
                    return Ok(None);
                }
                let mut command = Command::new(&self.toolchain.program);
                command.args(["--test", "--test-reporter=spec"]).args(files);
                command
            }
            (None, Language::Python) => {
                let is_test = |name: &str| name.starts_with("test_") && name.ends_with(".py");
                if self.files_in_tests(is_test).is_empty() {
                    return Ok(None);
                }
                let mut command = Command::new(&self.toolchain.program);
                command.args(["-m", "unittest", "discover", "-s"]).arg(self.project.tests());
                let paths =
                    [self.sdk.sdk.join("src"), self.python_site(), self.project.root().join("src")];
                let paths = std::env::join_paths(paths).map_err(|error| {
                    ProjectError::new("io", format!("the project's path has a `:`: {error}"))
                })?;
                command.env("PYTHONPATH", paths).env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            (None, Language::Rust) => {
                let mut command = Command::new(&self.toolchain.program);
                command.args(["test", "--quiet"]);
                command
            }
            (None, Language::C) => {
                if self.files_in_tests(|name| name.ends_with("_test.c")).is_empty() {
                    return Ok(None);
                }
                let mut command = Command::new(&self.toolchain.program);
                command.arg(self.sdk.sdk.join("test.py"));
                command.arg("--project").arg(self.project.root());
                command.args(["--entry", self.project.manifest().entry()]);
                command.arg("--tools").arg(&self.toolchain.packages);
                command
            }
        };
        command.current_dir(self.project.root());
        Ok(Some(command))
    }

    fn files_in_tests(&self, is_test: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.project.tests()) else { return Vec::new() };
        let is_test =
            |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(&is_test);
        let mut files: Vec<_> =
            entries.flatten().map(|entry| entry.path()).filter(is_test).collect();
        files.sort();
        files
    }

    fn python_site(&self) -> PathBuf {
        self.project.private().join("tools/python-site")
    }

    /// Returns the command of the SDK's own build program.
    fn program(&self, flags: &[&str]) -> Command {
        let name = match self.project.manifest().lang {
            Language::Js => "build.mjs",
            _ => "build.py",
        };
        let mut command = Command::new(&self.toolchain.program);
        command.arg(self.sdk.sdk.join(name));
        self.add_places(&mut command);
        command.args(flags);
        command
    }

    fn add_places(&self, command: &mut Command) {
        command
            .arg("--project")
            .arg(self.project.root())
            .args(["--entry", self.project.manifest().entry()])
            .args(self.kind_flag())
            .arg("--wit")
            .arg(&self.sdk.wit)
            .arg("--tools")
            .arg(&self.toolchain.packages);
        command.current_dir(self.project.root());
    }

    /// Returns the flag that tells the build of an HTTP worker from that of a service.
    fn kind_flag(&self) -> &'static [&'static str] {
        match (self.project.manifest().lang, self.project.manifest().kind) {
            (Language::Js | Language::Python, Kind::Web) => &["--kind", "web"],
            _ => &[],
        }
    }

    fn run(
        &self,
        command: &mut Command,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), ProjectError> {
        let finished = program::run(command, progress)?;
        if finished.succeeded {
            return Ok(());
        }
        let said = finished.last.join("\n");
        let message = match said.trim() {
            "" => format!("`{}` ended with {}", finished.shown, finished.status),
            // The tools begin with the word that this message will begin with.
            said => said.strip_prefix("error: ").unwrap_or(said).to_owned(),
        };
        Err(ProjectError::new("build_failed", message))
    }

    fn build_by(
        &self,
        program: &str,
        words: &[String],
        component: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), ProjectError> {
        let root = self.project.root();
        self.run(Command::new(program).args(words).current_dir(root), progress)?;
        match &self.project.manifest().build.artifact {
            Some(artifact) => self.take(&root.join(artifact), component),
            None if component.is_file() => Ok(()),
            None => Err(ProjectError::new(
                "build_failed",
                format!("the build command left no {}", component.display()),
            )
            .hint("name the file that it makes with `artifact` in [build]")),
        }
    }

    fn build_rust(
        &self,
        component: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), ProjectError> {
        // A cargo that the environment names brings what it needs.
        let own_cargo = std::env::var_os("SKEP_CARGO").filter(|program| !program.is_empty());
        if own_cargo.is_none() {
            require_target()?;
        }
        let cargo = own_cargo.map_or_else(|| self.toolchain.program.clone(), PathBuf::from);
        let root = self.project.root();
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "--target", TARGET, "--message-format=short"]);
        command.args(["--target-dir", "target"]);
        self.run(command.current_dir(root), progress).map_err(without_progress)?;
        let artifact = match &self.project.manifest().build.artifact {
            Some(artifact) => root.join(artifact),
            None => rust_artifact(root)?,
        };
        self.take(&artifact, component)
    }

    fn take(&self, artifact: &Path, component: &Path) -> Result<(), ProjectError> {
        fs::copy(artifact, component).map(drop).map_err(|error| {
            let message = format!("the build left no {}: {error}", artifact.display());
            ProjectError::new("build_failed", message)
                .hint("name the file that it makes with `artifact` in [build]")
        })
    }
}

/// Refuses a link in the place of a folder that is written to. It may have come with the source and
/// lead anywhere.
fn refuse_link(folder: &Path) -> Result<(), ProjectError> {
    if !folder.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
        return Ok(());
    }
    Err(ProjectError::new("io", format!("{} is a link, not a folder", folder.display()))
        .hint("remove the link; Skep makes the folder itself"))
}

/// Makes `node_modules/@skep/guest` lead to the SDK, as npm does for a dependency on a folder.
fn link_sdk(root: &Path, sdk: &UnpackedSdk) -> Result<(), ProjectError> {
    let scope = root.join("node_modules/@skep");
    let link = scope.join("guest");
    let target = sdk.sdk.canonicalize().map_err(ProjectError::file("open", &sdk.sdk))?;
    if link.canonicalize().is_ok_and(|found| found == target) {
        return Ok(());
    }
    fs::create_dir_all(&scope).map_err(ProjectError::file("create", &scope))?;
    if link.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
        fs::remove_file(&link).map_err(ProjectError::file("replace", &link))?;
    }
    std::os::unix::fs::symlink("../../.skep/sdk/js", &link)
        .map_err(ProjectError::file("link", &link))
}

/// Runs `npm ci` if the project has a lock file that has changed since.
fn install_npm_packages(
    project: &Project,
    progress: &mut dyn FnMut(&str),
) -> Result<(), ProjectError> {
    let root = project.root();
    let done = project.private().join("npm-lock.json");
    if !changed(&root.join("package-lock.json"), &done)? {
        return Ok(());
    }
    let npm = program::NPM.find()?;
    let mut command = Command::new(npm);
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(root);
    crate::toolchain::succeed(&mut command, progress, "npm could not install the dependencies")?;
    let lock = root.join("package-lock.json");
    fs::copy(&lock, &done).map(drop).map_err(ProjectError::file("copy", &lock))
}

/// Installs what the project's `requirements.txt` names, if it has changed since.
fn install_python_packages(
    project: &Project,
    toolchain: &Toolchain,
    progress: &mut dyn FnMut(&str),
) -> Result<(), ProjectError> {
    let requirements = project.root().join("requirements.txt");
    let done = project.private().join("python-requirements.txt");
    if !changed(&requirements, &done)? {
        return Ok(());
    }
    let site = project.private().join("tools/python-site");
    if site.exists() {
        fs::remove_dir_all(&site).map_err(ProjectError::file("replace", &site))?;
    }
    let mut command = Command::new(&toolchain.program);
    command
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
        .arg(&site)
        .arg("--requirement")
        .arg(&requirements)
        .current_dir(project.root());
    crate::toolchain::succeed(&mut command, progress, "pip could not install the dependencies")?;
    fs::copy(&requirements, &done).map(drop).map_err(ProjectError::file("copy", &requirements))
}

/// Returns true if a file exists whose content is not that of the copy.
fn changed(file: &Path, copy: &Path) -> Result<bool, ProjectError> {
    match fs::read(file) {
        Ok(content) => Ok(!fs::read(copy).is_ok_and(|copy| copy == content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ProjectError::file("read", file)(error)),
    }
}

/// Takes cargo's progress out of a failure, and what it says of its own processes.
fn without_progress(mut error: ProjectError) -> ProjectError {
    const PROGRESS: &[&str] =
        &["Blocking", "Compiling", "Downloaded", "Downloading", "Finished", "Locking", "Updating"];
    let is_progress =
        |line: &&str| PROGRESS.iter().any(|word| line.trim_start().split(' ').next() == Some(word));
    let said = error.message.lines().take_while(|line| !line.starts_with("Caused by:"));
    let said: Vec<_> = said.filter(|line| !is_progress(line)).collect();
    if !said.is_empty() {
        let said = said.join("\n");
        error.message = said.trim().trim_start_matches("error: ").to_owned();
    }
    error
}

/// Checks that the Rust toolchain can build for the guests' target.
fn require_target() -> Result<(), ProjectError> {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = rustc.ok().filter(|output| output.status.success());
    let sysroot = sysroot.and_then(|output| String::from_utf8(output.stdout).ok());
    let installed = |sysroot: &String| {
        Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib").is_dir()
    };
    if sysroot.as_ref().is_some_and(installed) {
        return Ok(());
    }
    Err(ProjectError::new("tool_missing", format!("Rust has no target {TARGET} here"))
        .hint(format!("install it with `rustup target add {TARGET}`")))
}

/// Returns the component that cargo leaves for the package in this folder.
fn rust_artifact(root: &Path) -> Result<PathBuf, ProjectError> {
    let manifest = root.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(ProjectError::file("read", &manifest))?;
    let name = toml::from_str::<toml::Table>(&text).ok().and_then(|table| {
        let package = table.get("package")?.get("name")?.as_str()?.to_owned();
        let library = table.contains_key("lib");
        Some(if library { package.replace('-', "_") } else { package })
    });
    let name = name.ok_or_else(|| {
        ProjectError::new("build_failed", format!("{} has no package name", manifest.display()))
    })?;
    Ok(root.join("target").join(TARGET).join("release").join(format!("{name}.wasm")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaffold;

    #[test]
    fn a_link_in_the_place_of_a_folder_is_refused_and_not_followed() {
        for name in WRITTEN {
            let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let root = dir.path().join("tally");
            scaffold(&root, Language::C, Kind::Service).unwrap();
            let link = root.join(name);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(elsewhere.path(), link).unwrap();
            let project = Project::open(&root).unwrap();
            let place = ToolsPlace::new(dir.path().join("tools"));
            let error = Builder::prepare(project, &place, &mut |_| {}).unwrap_err();
            assert!(error.message.ends_with("is a link, not a folder"), "{error}");
            assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        }
    }
}
