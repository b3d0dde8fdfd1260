//! A server of this machine in a process of its own.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::wrk::{self, Loaded};

/// The time that a server gets to listen. Some compile first.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, killed on drop.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
}

impl Served {
    /// Starts a server that says itself where it listens.
    pub(crate) fn running(child: Child, url: String) -> Self {
        Self { child, url }
    }

    /// Starts a server that cannot say where it listens, at a port that was free a moment ago, and
    /// waits for it. What it prints goes to `log` in the folder.
    pub(crate) fn at_free_port(
        folder: &Path,
        command: impl FnOnce(&str) -> Command,
    ) -> Result<Self, Failure> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Self::at(address, folder, command(&address.to_string()))
    }

    /// Starts a server that listens at this address, and waits for it.
    pub(crate) fn at(
        address: SocketAddr,
        folder: &Path,
        mut command: Command,
    ) -> Result<Self, Failure> {
        let log = File::create(folder.join("log"))?;
        let child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut served = Self { child, url: format!("http://{address}") };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let ended = served.child.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                let log = std::fs::read_to_string(folder.join("log"))?;
                return Err(format!("a server does not listen, {ended:?}: {log}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(served)
    }

    /// Loads the server with what [`wrk::prepare`] wrote into the folder.
    pub(crate) fn load(&self, folder: &Path, connections: usize) -> Result<Loaded, Failure> {
        wrk::load(folder, &self.url, connections)
    }

    /// Returns the resident memory of the server's process, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
        Ok(kib.parse::<u64>()? << 10)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
