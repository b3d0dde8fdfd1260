//! NATS servers with the files that `skep fleet init` writes.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{TestDir, test_dir};

/// The bound on the wait for a server.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ports of servers. They are below those that the system gives to connections, one of which could
/// otherwise take the port between the choice and the start.
const PORTS: std::ops::Range<u16> = 10_000..28_000;

/// Servers talk to each other this many ports above.
const CLUSTER: u16 = 2_000;

/// The servers of a fleet.
pub struct NatsServers {
    dir: TestDir,
    servers: Mutex<Vec<NatsServer>>,
}

/// A server that is killed on drop.
struct NatsServer(Child);

impl NatsServers {
    /// Starts as many servers, with files for these runtimes.
    pub fn start(count: u16, runtimes: &[&str]) -> Self {
        loop {
            let dir = test_dir();
            init(&dir, free_ports(count), count, runtimes);
            let started: Option<Vec<_>> = (1..=count.into()).map(|n| serve(&dir, n)).collect();
            if let Some(servers) = started {
                return Self { dir, servers: Mutex::new(servers) };
            }
        }
    }

    /// Returns the path of a file that `skep fleet init` wrote.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join("fleet").join(name)
    }

    /// Kills a server, counted from 1.
    pub fn kill(&self, number: usize) {
        self.servers()[number - 1].kill();
    }

    /// Starts a server again that was killed.
    pub fn start_again(&self, number: usize) {
        self.servers()[number - 1] = serve(&self.dir, number).expect("its port is still free");
    }

    /// Stops a server's process without ending it, or lets it go on.
    pub fn pause(&self, number: usize, is_paused: bool) {
        let signal = if is_paused { Signal::STOP } else { Signal::CONT };
        let pid = Pid::from_child(&self.servers()[number - 1].0);
        kill_process(pid, signal).expect("the server runs");
    }

    fn servers(&self) -> MutexGuard<'_, Vec<NatsServer>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NatsServer {
    fn kill(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        self.0.wait().expect("the server is a child");
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn init(dir: &Path, port: u16, count: u16, runtimes: &[&str]) {
    let mut command = Command::new(crate::skep());
    command.args(["fleet", "init", "fleet", "--servers", &count.to_string()]);
    command.args(["--port", &port.to_string()]).current_dir(dir);
    for runtime in runtimes {
        command.args(["--runtime", runtime]);
    }
    let made = command.output().expect("skep starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Starts a server in the folder of its files, and waits until it listens. Returns `None` if one of its
/// ports is taken.
fn serve(dir: &Path, number: usize) -> Option<NatsServer> {
    let program = xtask::nats::ensure().expect("the server can be fetched");
    let log_path = dir.join(format!("nats-{number}.log"));
    let log = File::create(&log_path).expect("a log can be made");
    let server = Command::new(program)
        .args(["-c", &format!("server-{number}.conf")])
        .current_dir(dir.join("fleet"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map(NatsServer)
        .expect("the server starts");
    let until = Instant::now() + PATIENCE;
    let said = || std::fs::read_to_string(&log_path).expect("the log can be read");
    while !said().contains("Server is ready") {
        if said().contains("address already in use") {
            return None;
        }
        assert!(Instant::now() < until, "{}", said());
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(server)
}

/// Returns the first of several ports that are free now, and those of the same servers for each other.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes begin at different ports.
    let process = std::process::id() as u16 % 64 * 256;
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let begun = process.wrapping_add(NEXT.fetch_add(count, Ordering::Relaxed));
        let first = PORTS.start + begun % (PORTS.end - PORTS.start - count);
        if (first..first + count).all(|port| is_free(port) && is_free(port + CLUSTER)) {
            return first;
        }
    }
}
