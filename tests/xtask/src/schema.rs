//! `cargo xtask schema`: schemathesis from PyPI generates requests from the API's own description
//! and checks every answer: no server error, and no status, header or body that is not described.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::guests::run;
use crate::{Error, python, tree};

/// The tool and its dependencies, with versions.
const REQUIREMENTS: &str = include_str!("schema/requirements.txt");

/// The checks. An unsupported operation is an ordinary answer.
const SETTINGS: &str = "[checks]\n\
     not_a_server_error.expected-statuses = [\"2xx\", \"3xx\", \"4xx\", 501]\n";

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
     response_headers_conformance,response_schema_conformance";

/// Streams do not end, and login attempts are rate limited.
const LEFT_OUT: &str = "(/events|/changes|/api/login)$";

/// The number of requests for one operation, with an admin's token and again without one.
pub const EXAMPLES: u32 = 10;

/// Starts a host and sends this many generated requests to each operation.
///
/// # Errors
/// [`Error::Failed`] if an answer differs from the description.
pub fn schema(examples: u32) -> Result<(), Error> {
    let why = "to check the API against its description";
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
        // The tool stores its findings in the current folder.
        check.current_dir(folder.path());
        let said = run(&mut check, &format!("generating requests as {who} (schemathesis)"))?;
        let summary = said.lines().map(str::trim).filter(|line| line.contains(" generated, "));
        eprintln!("as {who}: {}", summary.collect::<String>());
    }
    Ok(())
}

/// A host with a new store, killed on drop.
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
        let stdout = process.stdout.take().expect("the output is piped");
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
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
