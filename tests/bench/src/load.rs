//! Durable turns over HTTP: `wrk` against `skep up`, compared with `wrk` against a Durable Object
//! of `workerd` that inserts one row in SQLite per request.
//!
//! Both sides have fifty objects. Requests go to them in turn and are answered once their effects
//! are on disk. Ours writes an input, an event, a key of the state, an outcome and the usage;
//! theirs writes one row.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::packages;

use crate::Failure;
use crate::pairs::{First, Pairs};
use crate::table::Row;
use crate::tools::{folder, guest, skep};

const PAIRS: usize = 4;
const OBJECTS: usize = 50;
/// The length of one measurement.
const SECONDS: u64 = 4;

/// The script of the load generator: one request to each path in turn.
const SCRIPT: &str = r#"
local paths, headers, n = {}, {}, 0
for line in io.lines("paths") do paths[#paths + 1] = line end
headers["Content-Type"] = "text/plain"
for line in io.lines("token") do headers["Authorization"] = "Bearer " .. line end
request = function()
  n = n + 1
  return wrk.format("POST", paths[n % #paths + 1], headers, "turn")
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format("%d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// The other side's program, as short as possible.
const WORKER: &str = r#"
import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS entry (seq INTEGER PRIMARY KEY, body TEXT)");
  }
  async fetch(request) {
    this.ctx.storage.sql.exec("INSERT INTO entry (body) VALUES (?)", await request.text());
    return new Response("ok");
  }
}
export default {
  fetch(request, env) {
    const name = env.COUNTER.idFromName(new URL(request.url).pathname);
    return env.COUNTER.get(name).fetch(request);
  },
};
"#;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let folder = folder()?;
    wrk_is_there()?;
    let ours = Served::ours(&folder.path().join("ours"), "counter", OBJECTS)?;
    let theirs = Served::theirs(&folder.path().join("theirs"))?;
    let mut rows = Vec::new();
    for (name, connections, target) in [
        ("durable turn by HTTP, 50 connections", 50, 1.0 / 6.0),
        ("durable turn by HTTP, one connection", 1, 0.6),
    ] {
        let mut pairs = Pairs::default();
        // The first pair is a warm-up.
        for pair in 0..=PAIRS {
            let (our_time, their_time) = match First::of(pair) {
                First::Ours => (ours.load(connections)?, theirs.load(connections)?),
                First::Theirs => {
                    let their_time = theirs.load(connections)?;
                    (ours.load(connections)?, their_time)
                }
            };
            if pair > 0 {
                pairs.push(1, our_time, their_time);
            }
        }
        rows.push(Row::beside(name, "workerd, Durable Object", pairs.summary(), target));
    }
    Ok(rows)
}

/// Installs the load generator if it is missing.
fn wrk_is_there() -> Result<(), Failure> {
    Ok(packages::program("wrk", "to load servers with")?)
}

/// A server under load, killed on drop.
pub(crate) struct Served {
    server: Child,
    /// Contains the files `token` and `paths` for the load generator.
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
    /// The id of our runtime; empty for theirs.
    pub(crate) runtime: String,
}

impl Served {
    /// Starts `skep up` with this many workers of a guest.
    pub(crate) fn ours(folder: &Path, name: &str, workers: usize) -> Result<Self, Failure> {
        fs::create_dir(folder)?;
        let (skep, component) = (skep()?, guest(name)?);
        let store = folder.join("store");
        let mut server = Command::new(&skep)
            .args(["up", "--listen", "127.0.0.1:0", "--output", "json", "--store"])
            .arg(&store)
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("log"))?)
            .spawn()?;
        let mut line = String::new();
        let stdout = server.stdout.take().ok_or("its output is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)?;
        let text = |value: &Value, name: &str| -> Result<String, Failure> {
            Ok(value[name].as_str().ok_or_else(|| format!("no {name} in {value}"))?.to_owned())
        };
        let (url, runtime) = (text(&ready, "url")?, text(&ready, "runtime_id")?);
        fs::write(folder.join("token"), text(&ready, "token")?)?;
        let mut paths = String::new();
        for _ in 0..workers {
            let made = Command::new(&skep)
                .args(["worker", "create", "--output", "json", "--store"])
                .arg(&store)
                .arg(&component)
                .output()?;
            let worker: Value = serde_json::from_slice(&made.stdout)?;
            let worker = text(&worker, "worker_id")?;
            paths += &format!("/api/runtimes/{runtime}/workers/{worker}/inputs?wait_ms=30000\n");
        }
        fs::write(folder.join("paths"), paths)?;
        fs::write(folder.join("load.lua"), SCRIPT)?;
        Ok(Self { server, folder: folder.to_owned(), url, runtime })
    }

    fn theirs(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder.join("data"))?;
        // `workerd` cannot report the port that it was given.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = format!(
            r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .counter),
    (name = "disk", disk = (path = "data", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "main")],
);
const counter :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2025-01-01",
  durableObjectNamespaces = [(className = "Counter", uniqueKey = "c", enableSql = true)],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [(name = "COUNTER", durableObjectNamespace = "Counter")],
);
"#
        );
        fs::write(folder.join("config.capnp"), config)?;
        fs::write(folder.join("worker.js"), WORKER)?;
        fs::write(folder.join("load.lua"), SCRIPT)?;
        fs::write(folder.join("token"), "")?;
        let paths: String = (0..OBJECTS).map(|object| format!("/{object}\n")).collect();
        fs::write(folder.join("paths"), paths)?;
        let server = Command::new(packages::ensure(packages::WORKERD)?)
            .args(["serve", "config.capnp"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log"))?)
            .spawn()?;
        let served = Self {
            server,
            folder: folder.to_owned(),
            url: format!("http://127.0.0.1:{port}"),
            runtime: String::new(),
        };
        let until = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > until {
                return Err("workerd does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(served)
    }

    /// Returns the paths for inputs.
    pub(crate) fn paths(&self) -> Result<Vec<String>, Failure> {
        let paths = fs::read_to_string(self.folder.join("paths"))?;
        Ok(paths.lines().map(str::to_owned).collect())
    }

    /// Returns the time per request: with many connections the share of the total, with one the
    /// latency.
    fn load(&self, connections: usize) -> Result<Duration, Failure> {
        let connections_flag = format!("-c{connections}");
        let seconds = format!("-d{SECONDS}s");
        let ran = Command::new("wrk")
            .args(["-t1", &connections_flag, &seconds, "-s", "load.lua", &self.url])
            .current_dir(&self.folder)
            .output()?;
        let said = String::from_utf8_lossy(&ran.stderr);
        let numbers: Vec<u64> =
            said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [requests, micros, median, errors] = numbers[..] else {
            return Err(format!("unexpected output of wrk: {said:?}").into());
        };
        if errors > 0 || requests == 0 {
            return Err(format!("{errors} of {requests} requests to {} failed", self.url).into());
        }
        Ok(match connections {
            1 => Duration::from_micros(median),
            _ => Duration::from_micros(micros) / u32::try_from(requests)?,
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
