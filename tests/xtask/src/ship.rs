//! `cargo xtask ship`: builds the program for distribution, stripped, and a separate file with its
//! debug info.
//!
//! Debuggers and `perf` find that file by its name and checksum if it is in the same folder, so a
//! crash on a machine with only the program can be analysed on one with both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guests::run;
use crate::{Error, console, packages, tree};

/// A program in two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// The program, stripped.
    pub program: PathBuf,
    /// The debug info.
    pub debug: PathBuf,
}

/// Builds the console and the program, and puts its two files into `target/shipped`.
///
/// # Errors
/// Those of [`console::ensure`] and [`split`], and the errors of the build.
pub fn ship() -> Result<Shipped, Error> {
    console::ensure()?;
    let mut build = Command::new("cargo");
    // Builds only this package, as `cargo install` does.
    build.args(["build", "--locked", "--profile", "ship", "--package", "skep"]);
    build.args(["--target-dir", "target"]).current_dir(tree::root());
    let status = build.status();
    let status = status.map_err(|source| Error::NotStarted { what: "cargo".into(), source })?;
    if !status.success() {
        return Err(Error::Step("building skep"));
    }
    let target = tree::root().join("target");
    split(&target.join("ship/skep"), &target.join("shipped"))
}

/// Copies a program into a folder, and its debug info into a second file.
///
/// # Errors
/// [`Error::Failed`] with the output of `objcopy`, and [`Error::NoProgram`] if it is missing.
pub fn split(program: &Path, folder: &Path) -> Result<Shipped, Error> {
    packages::program_of("objcopy", "binutils", "to split off the debug info")?;
    fs::create_dir_all(folder).map_err(Error::file("creating", folder))?;
    let name = program.file_name().expect("a program has a name").to_owned();
    let mut debug_name = name.clone();
    debug_name.push(".debug");
    let shipped = Shipped { program: folder.join(&name), debug: folder.join(&debug_name) };
    // The link contains the other file's name as given, so this runs in their folder.
    let objcopy = |flags: &[&str], from: &Path, to: &Path| {
        let mut objcopy = Command::new("objcopy");
        objcopy.args(flags).arg(from).arg(to).current_dir(folder);
        run(&mut objcopy, "splitting a program (objcopy)").map(drop)
    };
    objcopy(&["--only-keep-debug", "--compress-debug-sections"], program, &shipped.debug)?;
    let link = format!("--add-gnu-debuglink={}", debug_name.display());
    objcopy(&["--strip-all", &link], program, &shipped.program)?;
    Ok(shipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(file: &Path, section: &str) -> bool {
        let sections = run(Command::new("readelf").arg("-SW").arg(file), "readelf").unwrap();
        sections.split_whitespace().any(|word| word == section)
    }

    #[test]
    fn the_debug_info_of_a_program_is_split_off() {
        let folder = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let Shipped { program: stripped, debug } = split(&program, folder.path()).unwrap();
        let size = |file: &Path| fs::metadata(file).unwrap().len();
        assert!(size(&stripped) < size(&program) / 2, "{} bytes", size(&stripped));
        assert!(has(&debug, ".debug_line") && has(&debug, ".symtab"));
        assert!(!has(&stripped, ".debug_line") && !has(&stripped, ".symtab"));
        assert!(has(&stripped, ".gnu_debuglink"), "the link to the debug file is missing");
        let listed = Command::new(&stripped).arg("--list").output().unwrap();
        assert!(listed.status.success());
    }
}
