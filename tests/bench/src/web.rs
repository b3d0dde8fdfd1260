//! HTTP requests that a component answers: `skep serve` against `wasmtime serve` and `workerd`, and
//! HTTP workers of a host against both.
//!
//! The guest is the same component on both sides where the peer runs components. It is
//! `examples/streams`, which answers `/` with a short text.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use crate::Failure;
use crate::bulk::Place;
use crate::host::Host;
use crate::pairs::{First, Pairs, Summary, percentile};
use crate::served::Served;
use crate::table::{Amount, Row};
use crate::tools::{folder, guest, skep, wasmtime};
use crate::workerd;
use crate::wrk::{self, Asked, Loaded};

const PAIRS: usize = 4;

/// Connections of a busy server.
const MANY: usize = 50;

/// A module as short as the component.
const HELLO: &str = r#"
export default {
  fetch() {
    return new Response("hello from a sandbox\n", { headers: { "content-type": "text/plain" } });
  },
};
"#;

/// Flags that make the peer's pool retain memory as ours does.
const WARM_POOL: &[&str] = &[
    "-Opooling-pagemap-scan=y",
    "-Opooling-memory-keep-resident=131072",
    "-Opooling-table-keep-resident=131072",
];

/// The memory that a host may take for a million fresh instances, and for an echo.
const GROWTH: u64 = 8 << 20;

const REQUESTS: u64 = 1_000_000;

/// The length of an echoed body.
const ECHO: u64 = 1 << 30;

const ECHOES: usize = 3;
const FIRST_BYTES: usize = 200;

/// Adds the rows as they are measured: a later one that fails does not cost the others.
pub(crate) fn measure(rows: &mut Vec<Row>) -> Result<(), Failure> {
    wrk::ensure()?;
    let bench = Bench {
        folder: folder()?,
        component: guest("streams")?,
        skep: skep()?,
        wasmtime: wasmtime()?,
    };
    let fresh = bench.ours("fresh", &["--instances", "fresh"])?;
    let serial = bench.ours("serial", &["--instances", "serial"])?;
    let once = bench.theirs("once", &["--max-instance-reuse-count=1"])?;
    let pooled: Vec<&str> =
        ["--max-instance-reuse-count=1"].into_iter().chain(WARM_POOL.iter().copied()).collect();
    let pooled = bench.theirs("pooled", &pooled)?;
    let reused = bench.theirs("reused", &["--max-instance-reuse-count=128"])?;
    let script = bench.target("workerd", |folder| workerd::start(folder, HELLO))?;

    let busy = |ours: &Target, theirs: &Target| compare(MANY, |loaded| loaded.each, ours, theirs);
    rows.extend([
        Row::beside("HTTP hello, fresh", "wasmtime serve", busy(&fresh, &once)?, 1.0 / 2.5),
        Row::beside("HTTP hello, fresh", "same, warm pool", busy(&fresh, &pooled)?, 1.0 / 0.8),
        Row::beside(
            "HTTP hello, serial",
            "wasmtime serve, reuse 128",
            busy(&serial, &reused)?,
            1.0 / 0.8,
        ),
        Row::beside("HTTP hello, serial", "workerd", busy(&serial, &script)?, 0.5),
    ]);
    rows.extend(echo("echo of 1 GiB, skep serve", "wasmtime serve", &fresh, &once, 1.0 / 0.7)?);
    rows.push(tail("p99 of HTTP hello, fresh", &fresh)?);
    rows.push(tail("p99 of HTTP hello, serial", &serial)?);
    rows.push(tail("p99 of wasmtime serve, warm pool", &pooled)?);
    rows.push(tail("p99 of wasmtime serve, reuse 128", &reused)?);
    drop((once, pooled, reused, script));
    rows.push(growth(&fresh)?);

    let host = bench.host("fresh-worker", "fresh")?;
    let reusing = bench.host("serial-worker", "serial")?;
    let health = host.another("health", vec!["/healthz".into()])?;
    rows.push(Row::beside("HTTP worker, fresh", "skep serve", busy(&host, &fresh)?, 2.0));
    rows.push(Row::beside("HTTP worker, serial", "skep serve", busy(&reusing, &serial)?, 2.0));
    for (name, target) in [
        ("HTTP hello beyond /healthz, fresh", &fresh),
        ("HTTP hello beyond /healthz, serial", &serial),
    ] {
        let alone = compare(1, |loaded| loaded.p50, target, &health)?;
        let beyond = Amount::Time(alone.ours.saturating_sub(alone.theirs));
        rows.push(
            Row::alone(name, alone.pairs, beyond).at_most(Amount::Time(Duration::from_micros(80))),
        );
    }
    drop((fresh, serial));
    let behind = bench.behind("attic", "serial-worker", "serial")?;
    let hop = reusing.another("hop", vec![format!("{}/http/", behind.host_path())])?;
    rows.push(Row::beside(
        "HTTP worker by way of a host",
        "same, direct",
        busy(&hop, &behind)?,
        2.0,
    ));
    let name = "echo of 1 GiB by way of a host";
    rows.extend(echo(name, "same, direct", &hop, &behind, 1.0 / 0.5)?);
    let first_bytes = (0..FIRST_BYTES).map(|_| hop.place("events").first_byte());
    let first_bytes = first_bytes.collect::<Result<Vec<_>, _>>()?;
    let slow = Amount::Time(percentile(&first_bytes, 99));
    rows.push(
        Row::alone("first event by way of a host, p99", FIRST_BYTES, slow)
            .at_most(Amount::Time(Duration::from_millis(5))),
    );
    Ok(())
}

/// The programs and the guest.
struct Bench {
    folder: tempfile::TempDir,
    component: PathBuf,
    skep: PathBuf,
    wasmtime: PathBuf,
}

/// A server, and the folder with what it is asked.
struct Target {
    server: Rc<Running>,
    folder: PathBuf,
    asked: Asked,
}

enum Running {
    Process(Served),
    Host(Host),
}

impl Bench {
    fn target(
        &self,
        name: &str,
        start: impl FnOnce(&Path) -> Result<Served, Failure>,
    ) -> Result<Target, Failure> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder)?;
        let served = start(&folder)?;
        let asked = Asked { paths: vec!["/".into()], ..Asked::default() };
        Target::new(Running::Process(served).into(), folder, asked)
    }

    fn ours(&self, name: &str, flags: &[&str]) -> Result<Target, Failure> {
        self.target(name, |folder| {
            Served::at_free_port(folder, |address| {
                let mut command = Command::new(&self.skep);
                command
                    .args(["serve", "--quiet", "--addr", address])
                    .args(flags)
                    .arg(&self.component);
                command.env("XDG_CACHE_HOME", folder.join("cache"));
                command
            })
        })
    }

    fn theirs(&self, name: &str, flags: &[&str]) -> Result<Target, Failure> {
        self.target(name, |folder| {
            Served::at_free_port(folder, |address| {
                let mut command = Command::new(&self.wasmtime);
                command
                    .args(["serve", "-Scli", "--addr", address])
                    .args(flags)
                    .arg(&self.component);
                command
            })
        })
    }

    fn host(&self, name: &str, instances: &str) -> Result<Target, Failure> {
        let folder = self.folder.path().join(name);
        let host = Host::start(&folder, "streams", 1, &["--instances", instances])?;
        Target::of_worker(host, folder)
    }

    /// Starts a runtime behind the host of this name.
    fn behind(&self, name: &str, host: &str, instances: &str) -> Result<Target, Failure> {
        let folder = self.folder.path().join(name);
        let registry = self.folder.path().join(host);
        let host = Host::behind(&registry, &folder, "streams", &["--instances", instances])?;
        let paths = vec![format!("/v1/workers/{}/http/", host.worker_id())];
        let asked = Asked { paths, token: Some(host.token.clone()), body: None };
        Target::new(Running::Host(host).into(), folder, asked)
    }
}

impl Target {
    fn new(server: Rc<Running>, folder: PathBuf, asked: Asked) -> Result<Self, Failure> {
        wrk::prepare(&folder, &asked)?;
        Ok(Self { server, folder, asked })
    }

    /// Asks the first worker of a host.
    fn of_worker(host: Host, folder: PathBuf) -> Result<Self, Failure> {
        let paths = vec![format!("{}/http/", host.workers[0])];
        let asked = Asked { paths, token: Some(host.token.clone()), body: None };
        Self::new(Running::Host(host).into(), folder, asked)
    }

    /// Asks the same server for something else.
    fn another(&self, name: &str, paths: Vec<String>) -> Result<Self, Failure> {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder)?;
        let asked = Asked { paths, token: self.asked.token.clone(), body: None };
        Self::new(self.server.clone(), folder, asked)
    }

    /// Returns the path of its worker at the host that it is behind.
    fn host_path(&self) -> &str {
        match &*self.server {
            Running::Process(_) => "",
            Running::Host(host) => &host.workers[0],
        }
    }

    /// Returns the place of a name below what is asked.
    fn place(&self, name: &str) -> Place {
        let path = format!("{}{name}", self.asked.paths[0]);
        Place { url: self.served().url.clone(), path, token: self.asked.token.clone() }
    }

    fn served(&self) -> &Served {
        match &*self.server {
            Running::Process(served) => served,
            Running::Host(host) => &host.served,
        }
    }

    fn load(&self, connections: usize) -> Result<Loaded, Failure> {
        self.served().load(&self.folder, connections)
    }
}

/// Loads both servers alternately.
fn compare(
    connections: usize,
    figure: impl Fn(Loaded) -> Duration,
    ours: &Target,
    theirs: &Target,
) -> Result<Summary, Failure> {
    let mut pairs = Pairs::default();
    // The first pair is a warm-up.
    for pair in 0..=PAIRS {
        let (our_load, their_load) =
            First::of(pair).both(|| ours.load(connections), || theirs.load(connections))?;
        if pair > 0 {
            pairs.push(1, figure(our_load), figure(their_load));
        }
    }
    Ok(pairs.summary())
}

/// Compares the slow requests of a server with its usual ones.
fn tail(name: &'static str, target: &Target) -> Result<Row, Failure> {
    let mut pairs = Pairs::default();
    for _ in 0..PAIRS {
        let loaded = target.load(MANY)?;
        pairs.push(1, loaded.p99, loaded.p50);
    }
    Ok(Row::beside(name, "its p50", pairs.summary(), 2.0))
}

/// Measures the memory that a warm server takes for many more requests.
fn growth(target: &Target) -> Result<Row, Failure> {
    let before = target.served().resident_bytes()?;
    let (mut requests, mut runs) = (0, 0);
    while requests < REQUESTS {
        let loaded = target.load(MANY)?;
        requests += (wrk::LENGTH.as_nanos() / loaded.each.as_nanos()) as u64;
        runs += 1;
    }
    let grown = target.served().resident_bytes()?.saturating_sub(before);
    let name = "growth in 1,000,000 HTTP requests";
    Ok(Row::alone(name, runs, Amount::Bytes(grown)).at_most(Amount::Bytes(GROWTH)))
}

/// Compares the times of a large body there and back, and measures the memory that it takes.
fn echo(
    name: &'static str,
    beside: &'static str,
    ours: &Target,
    theirs: &Target,
    most: f64,
) -> Result<[Row; 2], Failure> {
    let (our_place, their_place) = (ours.place("echo"), theirs.place("echo"));
    for place in [&our_place, &their_place] {
        place.echo(1 << 20)?;
    }
    let before = ours.served().resident_bytes()?;
    let mut pairs = Pairs::default();
    for pair in 0..ECHOES {
        let (our_time, their_time) =
            First::of(pair).both(|| our_place.echo(ECHO), || their_place.echo(ECHO))?;
        pairs.push(1, our_time, their_time);
    }
    let grown = ours.served().resident_bytes()?.saturating_sub(before);
    Ok([
        Row::beside(name, beside, pairs.summary(), most),
        Row::alone("growth in those echoes", ECHOES, Amount::Bytes(grown))
            .at_most(Amount::Bytes(GROWTH)),
    ])
}
