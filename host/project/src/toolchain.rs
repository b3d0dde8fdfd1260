//! The pinned tools of a language, installed once per lock file and shared by all projects.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::error::ProjectError;
use crate::language::Language;
use crate::program::{self, NODE, NPM, PYTHON};
use crate::sdk::UnpackedSdk;

/// The file that says that an installation is complete.
const STAMP: &str = ".complete";

/// The folder that holds the tools of all languages.
#[derive(Clone, Debug)]
pub struct ToolsPlace(PathBuf);

impl ToolsPlace {
    /// Uses this folder. It is created when the first tool is installed.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }
}

/// The installed tools of a language.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    /// The folder of the packages: `node_modules` or a virtual environment. Empty for Rust.
    pub(crate) packages: PathBuf,
    /// The program that runs the SDK's build: node or the environment's python.
    pub(crate) program: PathBuf,
}

impl Toolchain {
    /// Finds the tools of a language, or installs them from the lock file of its SDK. `progress` is
    /// told each line of an installation.
    ///
    /// # Errors
    /// `tool_missing` and `io`.
    pub(crate) fn ready(
        language: Language,
        sdk: &UnpackedSdk,
        place: &ToolsPlace,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self, ProjectError> {
        let lock_file = match language {
            Language::Rust => {
                let program = program::CARGO.find()?;
                return Ok(Self { packages: PathBuf::new(), program });
            }
            Language::Js => "package-lock.json",
            Language::Python | Language::C => "requirements.txt",
        };
        let tools = sdk.sdk.join("tools");
        let lock = tools.join(lock_file);
        let lock = fs::read(&lock).map_err(ProjectError::file("read", &lock))?;
        let hash: String =
            Sha256::digest(&lock)[..8].iter().map(|it| format!("{it:02x}")).collect();
        let packages = place.0.join(format!("{language}-{hash}"));
        match language {
            Language::Js => {
                let node = NODE.find()?;
                install(&packages, |folder| npm(&tools, folder, progress))?;
                Ok(Self { packages, program: node })
            }
            _ => {
                install(&packages, |folder| pip(&tools, folder, progress))?;
                let program = packages.join("bin/python");
                Ok(Self { packages, program })
            }
        }
    }
}

/// Installs into a folder what is not complete there yet. One process installs at a time; the others
/// wait for it.
fn install(
    folder: &Path,
    install: impl FnOnce(&Path) -> Result<(), ProjectError>,
) -> Result<(), ProjectError> {
    let stamp = folder.join(STAMP);
    if stamp.exists() {
        return Ok(());
    }
    let parent = folder.parent().expect("the folder is below the place of the tools");
    fs::create_dir_all(parent).map_err(ProjectError::file("create", parent))?;
    let lock_path = folder.with_extension("lock");
    let lock = File::create(&lock_path).map_err(ProjectError::file("create", &lock_path))?;
    lock.lock().map_err(ProjectError::file("lock", &lock_path))?;
    if stamp.exists() {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(ProjectError::file("replace", folder))?;
    }
    fs::create_dir(folder).map_err(ProjectError::file("create", folder))?;
    install(folder)?;
    fs::write(&stamp, "").map_err(ProjectError::file("write", &stamp))
}

fn npm(tools: &Path, folder: &Path, line: &mut dyn FnMut(&str)) -> Result<(), ProjectError> {
    let npm = NPM.find()?;
    for name in ["package.json", "package-lock.json"] {
        let (from, to) = (tools.join(name), folder.join(name));
        fs::copy(&from, &to).map_err(ProjectError::file("copy", &from))?;
    }
    let mut command = Command::new(npm);
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(folder);
    succeed(&mut command, line, "npm could not install the build tools")
}

fn pip(tools: &Path, folder: &Path, line: &mut dyn FnMut(&str)) -> Result<(), ProjectError> {
    let python = PYTHON.find()?;
    let mut command = Command::new(python);
    command.args(["-m", "venv"]).arg(folder);
    succeed(&mut command, line, "python3 could not make an environment for the build tools")?;
    let mut command = Command::new(folder.join("bin/python"));
    command
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--require-hashes", "--requirement"])
        .arg(tools.join("requirements.txt"));
    succeed(&mut command, line, "pip could not install the build tools")
}

/// Runs a command that must succeed.
pub(crate) fn succeed(
    command: &mut Command,
    line: &mut dyn FnMut(&str),
    what: &str,
) -> Result<(), ProjectError> {
    let finished = program::run(command, line)?;
    if finished.succeeded {
        return Ok(());
    }
    let last = finished.last.join("\n");
    let message = format!("{what}: `{}` ended with {}\n{last}", finished.shown, finished.status);
    Err(ProjectError::new("tool_missing", message.trim_end())
        .hint("the first build needs the package registry; later ones work offline"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_that_failed_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tools/js-1");
        let failed = install(&folder, |folder| {
            fs::write(folder.join("half"), "").unwrap();
            Err(ProjectError::new("tool_missing", "no network"))
        });
        assert_eq!(failed.unwrap_err().message, "no network");
        install(&folder, |folder| {
            assert!(!folder.join("half").exists());
            fs::write(folder.join("whole"), "").map_err(ProjectError::file("write", folder))
        })
        .unwrap();
        install(&folder, |_| panic!("it is complete")).unwrap();
        assert!(folder.join("whole").exists());
    }
}
