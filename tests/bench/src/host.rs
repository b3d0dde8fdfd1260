//! `skep up`, with workers of a guest.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Failure;
use crate::served::Served;
use crate::tools::{guest, skep};

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
        fs::create_dir(folder)?;
        let (skep, component) = (skep()?, guest(name)?);
        let store = folder.join("store");
        let mut child = Command::new(&skep)
            .args(["up", "--listen", "127.0.0.1:0", "--output", "json", "--store"])
            .arg(&store)
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log"))?)
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("its output is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)?;
        let served = Served::running(child, text(&ready, "url")?);
        let (runtime, token) = (text(&ready, "runtime_id")?, text(&ready, "token")?);
        let token_file = folder.join("token");
        fs::write(&token_file, &token)?;
        let worker = |_| -> Result<String, Failure> {
            let made = Command::new(&skep)
                .args(["worker", "create", "--output", "json", "--store"])
                .arg(&store)
                .args(flags)
                .arg(&component)
                .output()?;
            let worker: Value = serde_json::from_slice(&made.stdout)?;
            Ok(format!("/api/runtimes/{runtime}/workers/{}", text(&worker, "worker_id")?))
        };
        let workers = (0..workers).map(worker).collect::<Result<_, _>>()?;
        Ok(Self { served, runtime, token, token_file, workers })
    }
}

fn text(value: &Value, name: &str) -> Result<String, Failure> {
    Ok(value[name].as_str().ok_or_else(|| format!("no {name} in {value}"))?.to_owned())
}
