//! `cargo xtask schema`: schemathesis from PyPI makes requests out of the API's own description, and
//! holds every answer to it: no failure of ours, no status, header or body that is not described.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::guests::run;
use crate::{Error, python, tree};

/// The tool and all that it needs, by version.
const REQUIREMENTS: &str = include_str!("schema/requirements.txt");

/// What answers are held to. That a runtime does not support an operation is an answer like others.
const SETTINGS: &str = "[checks]\n\
     not_a_server_error.expected-statuses = [\"2xx\", \"3xx\", \"4xx\", 501]\n";

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
     response_headers_conformance,response_schema_conformance";

/// Streams do not end, and logging in wrongly is held to a few attempts a minute.
const LEFT_OUT: &str = "(/events|/changes|/api/login)$";

/// Requests that are made up for one operation, with an admin's token and with none.
pub const EXAMPLES: u32 = 10;

/// Starts a host and has so many requests made up for each operation.
///
/// # Errors
/// [`Error::Failed`] where an answer is not as it is described.
pub fn schema(examples: u32) -> Result<(), Error> {
    let why = "to hold the API to its description";
    let tool = python::program("schemathesis", REQUIREMENTS, why)?;
    let folder = tempfile::tempdir_in(tree::root().join("target"))
        .map_err(Error::file("creating", "target"))?;
    let settings = folder.path().join("schemathesis.toml");
    fs::write(&settings, SETTINGS).map_err(Error::file("writing", &settings))?;
    let host = Host::start(folder.path().join("store"))?;
    for authorization in [Some(format!("Authorization: Bearer {}", host.token)), None] {
        let who = if authorization.is_some() { "an admin" } else { "nobody" };
        let mut check = Command::new(&tool);
        check.arg("--config-file").arg(&settings).arg("run");
        check.arg(tree::root().join("host/api/openapi.json")).args(["--url", &host.url]);
        check.args(["--checks", CHECKS, "--exclude-path-regex", LEFT_OUT, "--no-color"]);
        check.args(["--max-examples", &examples.to_string(), "--seed", "1"]);
        check.args(authorization.iter().flat_map(|header| ["-H", header.as_str()]));
        // It remembers what it found in the folder that it runs in.
        check.current_dir(folder.path());
        let said = run(&mut check, &format!("making requests up as {who} (schemathesis)"))?;
        let summary = said.lines().map(str::trim).filter(|line| line.contains(" generated, "));
        eprintln!("as {who}: {}", summary.collect::<String>());
    }
    Ok(())
}

/// A host with a new store, which ends with this.
struct Host {
    process: Child,
    url: String,
    token: String,
}

impl Host {
    fn start(store: PathBuf) -> Result<Self, Error> {
        let mut build = Command::new("cargo");
        build.args(["build", "--quiet", "--locked", "--workspace", "--bin", "skep"]);
        run(build.args(["--target-dir", "target"]).current_dir(tree::root()), "building skep")?;
        let not_started = |source| Error::NotStarted { what: "skep up".into(), source };
        let mut process = Command::new(tree::root().join("target/debug/skep"))
            .args(["up", "--listen", "127.0.0.1:0", "--output", "json", "--store"])
            .arg(store)
            .env("XDG_CACHE_HOME", tree::root().join("target/test-cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(not_started)?;
        let mut ready = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut ready).map_err(not_started)?;
        let text = |name: &str| {
            let (_, rest) = ready.split_once(&format!("\"{name}\":\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        match (text("url"), text("token")) {
            (Some(url), Some(token)) => Ok(Self { process, url, token }),
            _ => Err(Error::Step("starting a host")),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
