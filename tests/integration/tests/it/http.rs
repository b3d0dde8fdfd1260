//! HTTP components: `skep serve`, and HTTP workers on runtimes.

pub(crate) mod client;
mod concurrent;
mod foreign;
mod kept_state;
mod served_component;
mod served_hostile;
mod shared_instances;
mod sites;
mod whole_bodies;
mod workers;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use skep_harness::{TestDir, guest, shared_cache, test_dir};

/// A `skep serve` until it is dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) url: String,
    lines: BufReader<ChildStdout>,
    dir: TestDir,
}

impl Serving {
    /// Serves the guest `responder` with these flags.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::of(&guest("responder"), flags, &[])
    }

    pub(crate) fn of(component: &Path, flags: &[&str], args: &[&str]) -> Self {
        let dir = test_dir();
        let mut child = Command::new(skep_harness::skep())
            .args(["serve", "--addr", "127.0.0.1:0", "--output", "json"])
            .args(flags)
            .arg(component)
            .args(args)
            .env("XDG_CACHE_HOME", shared_cache())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("{line:?}: {}", std::fs::read_to_string(dir.join("stderr")).unwrap())
        });
        let url = ready["url"].as_str().unwrap().to_owned();
        Self { child, url, lines, dir }
    }

    /// Reads the line of the next request that ended.
    pub(crate) fn line(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"))
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.join("stderr")).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end, and returns the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
