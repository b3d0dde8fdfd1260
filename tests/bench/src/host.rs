//! `skep up` with workers of a guest, and `skep runtime` behind one.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Failure;
use crate::served::Served;
use crate::tools::{guest, skep};

/// The time that a host gets to reach a runtime.
const PATIENCE: Duration = Duration::from_secs(60);

const ANY_PORT: &str = "127.0.0.1:0";

/// A host in a process of its own.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) served: Served,
    pub(crate) runtime: String,
    pub(crate) token: String,
    /// Contains the token.
    pub(crate) token_file: PathBuf,
    /// The path of each worker in the API.
    pub(crate) workers: Vec<String>,
}

impl Host {
    /// Starts a host in a new folder, and creates workers of a guest with these flags.
    pub(crate) fn start(
        folder: &Path,
        name: &str,
        workers: usize,
        flags: &[&str],
    ) -> Result<Self, Failure> {
        Self::start_up(folder, &[], name, workers, flags)
    }

    /// Does the same with these arguments for `skep up`.
    pub(crate) fn start_up(
        folder: &Path,
        arguments: &[&str],
        name: &str,
        workers: usize,
        flags: &[&str],
    ) -> Result<Self, Failure> {
        let (served, ready) =
            process(folder, &[&["up", "--listen", ANY_PORT], arguments].concat())?;
        let (runtime, token) = (text(&ready, "runtime_id")?, text(&ready, "token")?);
        let token_file = folder.join("token");
        fs::write(&token_file, &token)?;
        let component = guest(name)?;
        let workers = (0..workers).map(|_| create(folder, &runtime, flags, &component));
        let workers = workers.collect::<Result<_, _>>()?;
        Ok(Self { served, runtime, token, token_file, workers })
    }

    /// Starts a runtime in a process of its own behind a host, and creates a worker there by way of the
    /// host. Its path is the same at both.
    pub(crate) fn behind(
        registry: &Path,
        folder: &Path,
        name: &str,
        flags: &[&str],
    ) -> Result<Self, Failure> {
        const ID: &str = "attic";
        let (served, _) = process(folder, &["runtime", "--listen", ANY_PORT, "--id", ID])?;
        let token = said(&folder.join("store"), &["token", "create", "--role", "admin"])?;
        let token_file = folder.join("token");
        fs::write(&token_file, token.trim())?;
        let of_runtime = token_file.to_str().ok_or("a path is not UTF-8")?;
        let remote = ["remote", "add", ID, &served.url, "--token-file", of_runtime];
        said(&registry.join("store"), &remote)?;
        let worker = create_elsewhere(registry, ID, flags, &guest(name)?)?;
        let token = token.trim().to_owned();
        Ok(Self { served, runtime: ID.to_owned(), token, token_file, workers: vec![worker] })
    }
}

impl Host {
    /// Returns the id of its first worker.
    pub(crate) fn worker_id(&self) -> &str {
        self.workers[0].rsplit('/').next().unwrap_or_default()
    }
}

/// Starts `skep` as a server in a new folder, and returns what it says when it is ready. Without a port
/// its URL is empty.
fn process(folder: &Path, arguments: &[&str]) -> Result<(Served, Value), Failure> {
    fs::create_dir(folder)?;
    let mut child = Command::new(skep()?)
        .args(arguments)
        .args(["--output", "json", "--store"])
        .arg(folder.join("store"))
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(folder.join("log"))?)
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("its output is piped")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let ready: Value = serde_json::from_str(&line)
        .map_err(|_| format!("skep does not start; see {}", folder.join("log").display()))?;
    let url = ready["url"].as_str().unwrap_or_default().to_owned();
    Ok((Served::running(child, url), ready))
}

/// Starts a runtime of a fleet, which listens on no port, in a new folder.
pub(crate) fn fleet_runtime(folder: &Path, file: &Path) -> Result<Served, Failure> {
    let file = file.to_str().ok_or("a path is not UTF-8")?;
    Ok(process(folder, &["runtime", "--fleet", file])?.0)
}

/// Creates a worker on a runtime that a host needs a moment to reach.
pub(crate) fn create_elsewhere(
    folder: &Path,
    runtime: &str,
    flags: &[&str],
    component: &Path,
) -> Result<String, Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        match create(folder, runtime, flags, component) {
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(100)),
            made => return made,
        }
    }
}

/// Creates a worker, and returns its path in the API.
fn create(
    folder: &Path,
    runtime: &str,
    flags: &[&str],
    component: &Path,
) -> Result<String, Failure> {
    let component = component.to_str().ok_or("a path is not UTF-8")?;
    let words = ["worker", "create", "--output", "json", "--runtime", runtime];
    let made = said(&folder.join("store"), &[&words[..], flags, &[component]].concat())?;
    let worker: Value = serde_json::from_str(&made)?;
    Ok(format!("/api/runtimes/{runtime}/workers/{}", text(&worker, "worker_id")?))
}

/// Returns what a command on a store prints.
fn said(store: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let ran = Command::new(skep()?).args(arguments).arg("--store").arg(store).output()?;
    match ran.status.success() {
        true => Ok(String::from_utf8(ran.stdout)?),
        false => Err(String::from_utf8_lossy(&ran.stderr).into_owned().into()),
    }
}

fn text(value: &Value, name: &str) -> Result<String, Failure> {
    Ok(value[name].as_str().ok_or_else(|| format!("no {name} in {value}"))?.to_owned())
}
