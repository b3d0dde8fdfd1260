//! The way to a runtime through a NATS server, compared with the way over HTTP. One host routes to both
//! runtimes; its clients are the same.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use xtask::nats;

use crate::Failure;
use crate::bulk::Place;
use crate::host::{Host, create_elsewhere, fleet_runtime};
use crate::pairs::{First, Pairs, Summary};
use crate::served::Served;
use crate::table::Row;
use crate::tools::{folder, guest, skep};
use crate::wrk::{self, Asked, Loaded};

const PAIRS: usize = 4;

/// The length of an echoed body.
const ECHO: u64 = 256 << 20;

const ECHOES: usize = 3;

/// The port for other servers is counted from that of a server.
const HIGHEST_PORT: u16 = 60_000;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    wrk::ensure()?;
    let folder = folder()?;
    let folder = folder.path();
    let (_server, files) = server(folder)?;
    let api = files.join("api.toml");
    let api = api.to_str().ok_or("a path is not UTF-8")?;
    let registry = folder.join("host");
    let host = Host::start_up(&registry, &["--fleet", api], "counter", 0, &[])?;
    let _alpha = fleet_runtime(&folder.join("alpha"), &files.join("runtime-alpha.toml"))?;
    let remote = Host::behind(&registry, &folder.join("attic"), "counter", &[])?;
    let over_nats = create_elsewhere(&registry, "alpha", &[], &guest("counter")?)?;
    let both = [&over_nats, &remote.workers[0]];

    let compare = |name: &str, suffix: &str, body: Option<&'static str>, connections: usize| {
        let [ours, theirs] = [0, 1].map(|side| {
            let folder = folder.join(format!("{name}-{side}"));
            std::fs::create_dir(&folder)?;
            let paths = vec![format!("{}{suffix}", both[side])];
            wrk::prepare(&folder, &Asked { paths, token: Some(host.token.clone()), body })?;
            Ok::<PathBuf, Failure>(folder)
        });
        pairs(&host.served, &ours?, &theirs?, connections)
    };
    let beside = "the same over HTTP";
    let mut rows = vec![
        Row::beside("read over NATS, one connection", beside, compare("read", "", None, 1)?, 2.0),
        Row::beside("read over NATS, 50 connections", beside, compare("reads", "", None, 50)?, 2.0),
        Row::beside(
            "durable turn over NATS, one connection",
            beside,
            compare("turn", "/inputs?wait_ms=30000", Some("turn"), 1)?,
            1.5,
        ),
    ];
    let streams = guest("streams")?;
    let flags = ["--instances", "serial"];
    let place = |runtime: &str| -> Result<Place, Failure> {
        let worker = create_elsewhere(&registry, runtime, &flags, &streams)?;
        let (url, token) = (host.served.url.clone(), Some(host.token.clone()));
        Ok(Place { url, path: format!("{worker}/http/echo"), token })
    };
    let (ours, theirs) = (place("alpha")?, place(&remote.runtime)?);
    let mut echoes = Pairs::default();
    // The first pair is a warm-up.
    for pair in 0..=ECHOES {
        let (our_time, their_time) =
            First::of(pair).both(|| ours.echo(ECHO), || theirs.echo(ECHO))?;
        if pair > 0 {
            echoes.push(1, our_time, their_time);
        }
    }
    rows.push(Row::beside("echo of 256 MiB over NATS", beside, echoes.summary(), 1.0 / 0.3));
    Ok(rows)
}

/// Starts a server of a fleet, and returns the folder of its files.
fn server(folder: &Path) -> Result<(Served, PathBuf), Failure> {
    let address = loop {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        if address.port() < HIGHEST_PORT {
            break address;
        }
    };
    let files = folder.join("fleet");
    let mut init = Command::new(skep()?);
    init.args(["fleet", "init"]).arg(&files).args(["--servers", "1", "--runtime", "alpha"]);
    let made = init.args(["--port", &address.port().to_string()]).output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    let mut command = Command::new(nats::ensure()?);
    command.args(["-c", "server-1.conf"]);
    Ok((Served::at(address, &files, command)?, files))
}

/// Loads the same server for both ways alternately.
fn pairs(
    served: &Served,
    ours: &Path,
    theirs: &Path,
    connections: usize,
) -> Result<Summary, Failure> {
    let figure =
        |loaded: Loaded| -> Duration { if connections == 1 { loaded.p50 } else { loaded.each } };
    let mut pairs = Pairs::default();
    // The first pair is a warm-up.
    for pair in 0..=PAIRS {
        let (our_load, their_load) = First::of(pair)
            .both(|| served.load(ours, connections), || served.load(theirs, connections))?;
        if pair > 0 {
            pairs.push(1, figure(our_load), figure(their_load));
        }
    }
    Ok(pairs.summary())
}
