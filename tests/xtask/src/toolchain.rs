//! The compiler for guests: the installed one if it has the target, otherwise Debian's, which also
//! builds the target's standard library.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::debian::Debian;
use crate::guests::{Shape, run};

/// The targets of guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Components.
    Wasip2,
    /// Core modules of WASI preview1.
    Wasip1,
}

impl Target {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wasip2 => "wasm32-wasip2",
            Self::Wasip1 => "wasm32-wasip1",
        }
    }

    /// Returns the variable that sets an option of cargo for this target.
    pub(crate) fn variable(self, option: &str) -> String {
        let name = self.name().to_uppercase().replace('-', "_");
        format!("CARGO_TARGET_{name}_{option}")
    }
}

/// A compiler that can build for one target.
pub(crate) enum Toolchain {
    /// The target is installed (`rustup target add`, or a distribution's package).
    Installed(Rust),
    /// Debian's compiler and sources, with the linkers of the installed one.
    Debian(Debian),
}

/// The compiler that builds Skep itself.
pub(crate) struct Rust {
    sysroot: PathBuf,
    /// The output of `rustc -vV`.
    version: String,
}

impl Toolchain {
    /// Finds a compiler for the target, or installs one, which is reported; files outside the
    /// system's packages go to `folder`.
    ///
    /// # Errors
    /// [`Error::NoToolchain`] with the command that installs one.
    pub(crate) fn find(target: Target, folder: &Path) -> Result<Self, Error> {
        let rust = Rust::find()?;
        if rust.sysroot.join("lib/rustlib").join(target.name()).join("lib").is_dir() {
            return Ok(Self::Installed(rust));
        }
        match Debian::prepare(&rust.linkers(), folder) {
            Ok(debian) => Ok(Self::Debian(debian)),
            Err(why) => Err(Error::NoToolchain { target: target.name(), why: why.to_string() }),
        }
    }

    /// Returns a text that changes with the compiler.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Installed(rust) => &rust.version,
            Self::Debian(debian) => debian.id(),
        }
    }

    /// Makes a locked release build of the package in the command's working directory, or of what
    /// these arguments select of it.
    pub(crate) fn cargo(&self, target: Target, shape: Shape, select: &[&str]) -> Command {
        match self {
            Self::Installed(rust) => {
                let mut cargo = cargo(&rust.sysroot.join("bin"));
                cargo.args(["build", "--release", "--locked", "--target", target.name()]);
                cargo.args(select);
                cargo
            }
            Self::Debian(debian) => debian.cargo(target, shape, select),
        }
    }

    /// Makes a `cargo test` of the package in the command's working directory.
    pub(crate) fn test(&self, target: Target) -> Command {
        match self {
            Self::Installed(rust) => {
                let mut cargo = cargo(&rust.sysroot.join("bin"));
                cargo.args(["test", "--target", target.name()]);
                cargo
            }
            Self::Debian(debian) => debian.test(target),
        }
    }
}

impl Rust {
    fn find() -> Result<Self, Error> {
        let rustc = |arguments: &[&str]| run(Command::new("rustc").args(arguments), "rustc");
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim_end());
        Ok(Self { sysroot, version: rustc(&["-vV"])? })
    }

    /// Returns the folder of `rust-lld` and `wasm-component-ld`.
    fn linkers(&self) -> PathBuf {
        let host = self.version.lines().find_map(|line| line.strip_prefix("host: "));
        self.sysroot.join("lib/rustlib").join(host.unwrap_or_default()).join("bin")
    }
}

/// Makes a command of this folder's cargo and rustc. Of the outer cargo's environment it keeps only
/// the settings of the package cache and the registries.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(folder.join("cargo"));
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let outer = ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "RUSTDOC"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        let kept = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        if outer && !kept {
            cargo.env_remove(name);
        }
    }
    // Cargo adds its own compiler's libraries here for its children.
    cargo.env_remove("LD_LIBRARY_PATH");
    cargo.env("RUSTC", folder.join("rustc"));
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_cargo_does_not_choose_the_compiler() {
        let cargo = cargo(Path::new("/somewhere/bin"));
        let rustc = cargo.get_envs().find(|(name, _)| *name == "RUSTC");
        assert_eq!(rustc, Some(("RUSTC".as_ref(), Some("/somewhere/bin/rustc".as_ref()))));
        // `cargo test` sets these for this test.
        for name in ["CARGO", "CARGO_MANIFEST_DIR", "LD_LIBRARY_PATH"] {
            assert!(cargo.get_envs().any(|(removed, value)| removed == name && value.is_none()));
        }
    }
}
