//! HTTP requests that a component answers: `skep serve` against `wasmtime serve` and `workerd`, and
//! HTTP workers of a host against both.
//!
//! The guest is the same component on both sides where the peer runs components. It is
//! `examples/streams`, which answers `/` with a short text.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Failure;
use crate::host::Host;
use crate::pairs::{First, Pairs, Summary};
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

/// The memory that a host may take for 200,000 fresh instances after as many.
const GROWTH: u64 = 8 << 20;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
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
    let mut rows = vec![
        Row::beside("HTTP hello, fresh", "wasmtime serve", busy(&fresh, &once)?, 1.0 / 2.5),
        Row::beside("HTTP hello, fresh", "same, warm pool", busy(&fresh, &pooled)?, 1.0 / 0.8),
        Row::beside(
            "HTTP hello, serial",
            "wasmtime serve, reuse 128",
            busy(&serial, &reused)?,
            1.0 / 0.8,
        ),
        Row::beside("HTTP hello, serial", "workerd", busy(&serial, &script)?, 0.5),
    ];
    drop((once, pooled, reused, script));
    rows.push(tail("p99 of HTTP hello, fresh", &fresh)?);
    rows.push(tail("p99 of HTTP hello, serial", &serial)?);
    rows.push(growth(&fresh)?);

    let host = bench.host("fresh-worker", "fresh")?;
    let reusing = bench.host("serial-worker", "serial")?;
    let health = Asked { paths: vec!["/healthz".into()], ..Asked::default() };
    let health = host.another("health", &health)?;
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
    Ok(rows)
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
    server: std::rc::Rc<Running>,
    folder: PathBuf,
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
        wrk::prepare(&folder, &Asked { paths: vec!["/".into()], ..Asked::default() })?;
        Ok(Target { server: Running::Process(start(&folder)?).into(), folder })
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
        let paths = vec![format!("{}/http/", host.workers[0])];
        wrk::prepare(&folder, &Asked { paths, token: Some(host.token.clone()), body: None })?;
        Ok(Target { server: Running::Host(host).into(), folder })
    }
}

impl Target {
    /// Asks the same server for something else.
    fn another(&self, name: &str, asked: &Asked) -> Result<Self, Failure> {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder)?;
        wrk::prepare(&folder, asked)?;
        Ok(Self { server: self.server.clone(), folder })
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
    while requests < 200_000 {
        let loaded = target.load(MANY)?;
        requests += (wrk::LENGTH.as_nanos() / loaded.each.as_nanos()) as u64;
        runs += 1;
    }
    let grown = target.served().resident_bytes()?.saturating_sub(before);
    let name = "growth in 200,000 HTTP requests";
    Ok(Row::alone(name, runs, Amount::Bytes(grown)).at_most(Amount::Bytes(GROWTH)))
}
