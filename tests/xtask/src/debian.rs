//! Builds guests on a Debian 12 machine that cannot download Rust targets.
//!
//! Debian's own rustc and its sources build the standard library for the target; the linkers are
//! those of the installed Rust, and wasi-libc comes from Debian's backports, unpacked beside the
//! guests. Only the three packages in [`PACKAGES`] are installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::guests::{Shape, run};
use crate::toolchain::{Target, cargo};

/// They use paths of their own and do not affect an installed Rust.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// The oldest usable wasi-libc. Debian 12 itself has one of 2022 whose malloc overlaps the preview1
/// adapter's memory and silently corrupts guests.
const OLDEST_LIBC: &str = "0.0~git20240708";

const BIN: &str = "/usr/bin";

/// The tools of a build.
pub(crate) struct Debian {
    /// The folder of the linkers.
    linkers: PathBuf,
    /// The folder with wasi-libc's `usr`.
    sysroot: PathBuf,
    id: String,
}

/// The reason why this machine cannot build guests this way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("it is not installed, and this is no Debian with apt-get")]
    NotDebian,
    #[error("the target is not installed, and the installed Rust has no {0} to link with")]
    NoLinker(&'static str),
    #[error("Debian's {0} could be installed, but only by root, and there is no sudo")]
    NotRoot(String),
    #[error("no source of this machine's packages is for its release, {0:?}")]
    NoSource(String),
    #[error("wasi-libc {0} of the backports is older than {OLDEST_LIBC}")]
    OldLibc(String),
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Debian {
    /// Installs and unpacks missing parts, and reports that.
    pub(crate) fn prepare(linkers: &Path, folder: &Path) -> Result<Self, Unavailable> {
        for linker in ["wasm-component-ld", "rust-lld", "gcc-ld"] {
            if !linkers.join(linker).exists() {
                return Err(Unavailable::NoLinker(linker));
            }
        }
        install(&PACKAGES, "to build guests, since rustup has no wasm target")?;
        let sysroot = folder.join("sysroot");
        let libc = match fs::read_to_string(sysroot.join("version")) {
            Ok(version) => version,
            Err(_) => unpack_libc(folder, &sysroot)?,
        };
        let rustc = run(Command::new(format!("{BIN}/rustc")).arg("-vV"), "rustc of Debian")?;
        Ok(Self { linkers: linkers.to_owned(), sysroot, id: format!("{rustc}wasi-libc {libc}") })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Makes the same command as [`Toolchain::cargo`](crate::toolchain::Toolchain::cargo).
    ///
    /// Flags that differ between guests are only passed to the last rustc, so that all guests share
    /// one standard library.
    pub(crate) fn cargo(&self, target: Target, shape: Shape, select: &[&str]) -> Command {
        let libc = self.libc(target);
        let start = match shape {
            Shape::Command | Shape::Commands => libc.join("crt1-command.o"),
            Shape::Service => libc.join("crt1-reactor.o"),
        };
        let subcommand = if shape == Shape::Commands { "build" } else { "rustc" };
        let mut cargo = self.command(target, subcommand, "std,panic_abort");
        cargo.args(["--release", "--locked"]).args(select);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.flags(target));
        if shape == Shape::Commands {
            // Cargo can pass arguments to one rustc only; the package's build script passes this
            // one on.
            cargo.env("SKEP_GUEST_START", start);
        } else {
            cargo.args(["--", &format!("-Clink-arg={}", start.display())]);
        }
        cargo
    }

    /// Makes the same command as [`Toolchain::test`](crate::toolchain::Toolchain::test).
    pub(crate) fn test(&self, target: Target) -> Command {
        let mut cargo = self.command(target, "test", "std,panic_abort,test");
        let start = self.libc(target).join("crt1-command.o");
        // This libc lacks functions of threads, which a test names and does not call here.
        let ignored = "-Clink-arg=--unresolved-symbols=ignore-all";
        let flags =
            format!("{}\x1f-Clink-arg={}\x1f{ignored}", self.flags(target), start.display());
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
        cargo
    }

    /// Returns the folder of wasi-libc for a target.
    fn libc(&self, target: Target) -> PathBuf {
        self.sysroot.join("usr/lib").join(match target {
            Target::Wasip2 => "wasm32-wasip2",
            Target::Wasip1 => "wasm32-wasi",
        })
    }

    /// Returns the flags of each rustc. They are separated by 0x1f, so that a path may contain blanks.
    fn flags(&self, target: Target) -> String {
        format!("-Clink-self-contained=no\x1f-Lnative={}", self.libc(target).display())
    }

    /// Makes a command of cargo that builds the standard library, too.
    fn command(&self, target: Target, subcommand: &str, std: &str) -> Command {
        let linker = match target {
            Target::Wasip2 => "wasm-component-ld",
            Target::Wasip1 => "rust-lld",
        };
        // wasm-component-ld looks for wasm-ld here.
        let mut path = self.linkers.join("gcc-ld").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut cargo = cargo(Path::new(BIN));
        cargo
            .arg(subcommand)
            .args(["--target", target.name()])
            // Debian's compiler is a stable one, but building std is unstable.
            .arg(format!("-Zbuild-std={std}"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("PATH", path)
            .env(target.variable("LINKER"), self.linkers.join(linker));
        cargo
    }
}

/// Installs the missing packages, and reports that.
pub(crate) fn install(packages: &[&str], why: &str) -> Result<(), Unavailable> {
    if !Path::new(BIN).join("apt-get").exists() {
        return Err(Unavailable::NotDebian);
    }
    let missing: Vec<_> =
        packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    let as_root = || match (is_root(), Path::new(BIN).join("sudo").exists()) {
        (true, _) => Some(Command::new("apt-get")),
        (false, true) => {
            let mut sudo = Command::new("sudo");
            sudo.arg("apt-get");
            Some(sudo)
        }
        (false, false) => None,
    };
    let (Some(mut update), Some(mut install)) = (as_root(), as_root()) else {
        return Err(Unavailable::NotRoot(names));
    };
    eprintln!("installing Debian's {names} {why} ...");
    run(update.args(["update", "--quiet"]), "apt-get update")?;
    install
        .args(["install", "--quiet", "--yes", "--no-install-recommends", "--no-remove"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut install, "apt-get install")?;
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Abbrev}", package]);
    run(&mut query, "dpkg-query").is_ok_and(|status| status.starts_with("ii"))
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u"), "id").is_ok_and(|id| id.trim_end() == "0")
}

/// Downloads a package of a suite through a separate source list, so that the system's is unchanged.
/// `folder` is used meanwhile. Returns the package's file, in there.
fn download(folder: &Path, suite: &str, package: &str) -> Result<PathBuf, Unavailable> {
    for part in ["lists/partial", "cache/archives/partial", "download"] {
        fs::create_dir_all(folder.join(part))
            .map_err(Error::file("creating", folder.join(part)))?;
    }
    let list = folder.join("suite.sources");
    fs::write(&list, source_list(suite)?).map_err(Error::file("writing", &list))?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .arg("--quiet")
            .args(["-o".into(), format!("Dir::Etc::sourcelist={}", list.display())])
            .args(["-o", "Dir::Etc::sourceparts=-"])
            .args(["-o".into(), format!("Dir::State::lists={}", folder.join("lists").display())])
            .args(["-o".into(), format!("Dir::Cache={}", folder.join("cache").display())])
            // Another user could not write to this folder.
            .args(["-o", "APT::Sandbox::User=root"])
            .args(arguments)
            .current_dir(folder.join("download"));
        run(&mut command, &format!("apt-get {}", arguments.join(" ")))
    };
    apt_get(&["update"])?;
    apt_get(&["download", package])?;
    let download = folder.join("download");
    let found = fs::read_dir(&download)
        .and_then(|mut entries| entries.next().ok_or(std::io::ErrorKind::NotFound)?)
        .map_err(Error::file("finding the package in", download))?;
    Ok(found.path())
}

/// Unpacks the newest package of this name into a folder that is not there, without installing it.
pub(crate) fn unpack_of_sid(package: &str, into: &Path) -> Result<(), Unavailable> {
    if !Path::new(BIN).join("apt-get").exists() {
        return Err(Unavailable::NotDebian);
    }
    let apt = into.with_extension("apt");
    let file = download(&apt, "sid", package)?;
    let partial = into.with_extension("partial");
    run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&partial), "unpacking a package")?;
    let settle = || {
        fs::rename(&partial, into)?;
        fs::remove_dir_all(&apt)
    };
    Ok(settle().map_err(Error::file("writing", into))?)
}

/// Downloads wasi-libc and unpacks it. Returns its version.
fn unpack_libc(folder: &Path, sysroot: &Path) -> Result<String, Unavailable> {
    eprintln!("fetching wasi-libc from Debian's backports into target/guests/sysroot ...");
    let apt = folder.join("apt");
    let package = download(&apt, &format!("{}-backports", codename()), "wasi-libc")?;
    let field = run(Command::new("dpkg-deb").arg("-f").arg(&package).arg("Version"), "dpkg-deb")?;
    let version = field.trim_end().to_owned();
    let mut compare = Command::new("dpkg");
    compare.args(["--compare-versions", &version, "ge", OLDEST_LIBC]);
    if run(&mut compare, "dpkg").is_err() {
        return Err(Unavailable::OldLibc(version));
    }

    let partial = folder.join("sysroot.partial");
    run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&partial), "unpacking wasi-libc")?;
    let settle = || {
        fs::write(partial.join("version"), &version)?;
        fs::rename(&partial, sysroot)?;
        fs::remove_dir_all(&apt)
    };
    settle().map_err(Error::file("writing", sysroot))?;
    Ok(version)
}

/// Returns the name of this release of Debian.
fn codename() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

/// Returns a source list for a suite, at the system's mirror.
fn source_list(suite: &str) -> Result<String, Unavailable> {
    let codename = codename();
    let mut query = Command::new("apt-get");
    query.args(["indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]);
    let sources = run(&mut query, "apt-get indextargets")?;
    let mirror = sources
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(suite, uri)| (suite == codename && !codename.is_empty()).then_some(uri))
        .ok_or_else(|| Unavailable::NoSource(codename.clone()))?;

    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let signed_by = match Path::new(keyring).exists() {
        true => format!("Signed-By: {keyring}\n"),
        false => String::new(),
    };
    Ok(format!("Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n{signed_by}"))
}
