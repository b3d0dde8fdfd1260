//! `skep` as a child process: its input, output, time and memory.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The bound on the wait for a state of a process.
const PATIENCE: Duration = Duration::from_secs(30);

/// A builder of a `skep` command.
#[derive(Debug)]
pub struct Run {
    command: Command,
    stdin: Vec<u8>,
    endless: bool,
}

/// A finished command.
#[derive(Debug)]
pub struct Ran {
    /// The exit code, or 128 + the signal.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error as text.
    pub stderr: String,
    /// The time from start to end.
    pub took: Duration,
    /// The last observed peak of the process's own resident memory, in bytes.
    pub peak_bytes: u64,
}

impl Run {
    /// Starts to build `skep run` with these flags; the component and its arguments follow.
    pub fn with(flags: &[&str]) -> Self {
        Self::skep("run").args(flags)
    }

    /// Starts to build `skep inspect`.
    pub fn inspect() -> Self {
        Self::skep("inspect")
    }

    /// Starts to build `skep ci` for the pipeline of a folder, with a cache of results of its own.
    pub fn ci(folder: &Path, cache: &Path) -> Self {
        let mut run = Self::skep("ci");
        run.command.current_dir(folder).env("SKEP_CI_CACHE", cache);
        run
    }

    fn skep(subcommand: &str) -> Self {
        let mut command = Command::new(crate::skep());
        command.arg(subcommand).env("XDG_CACHE_HOME", crate::shared_cache()).env_remove("SKEP_LOG");
        Self { command, stdin: Vec::new(), endless: false }
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Adds a guest of this tree and its arguments.
    pub fn guest(self, name: &str, args: &[&str]) -> Self {
        self.component(&crate::guest(name), args)
    }

    /// Adds a component and its arguments.
    pub fn component(self, path: &Path, args: &[&str]) -> Self {
        self.args([path]).args(args)
    }

    /// Sets the content of standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Keeps standard input open while the command runs.
    pub fn endless_stdin(mut self) -> Self {
        self.endless = true;
        self
    }

    /// Sets an environment variable of `skep` itself.
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Clears the environment.
    pub fn env_clear(mut self) -> Self {
        self.command.env_clear();
        self
    }

    /// Runs it to its end.
    pub fn go(self) -> Ran {
        self.start().finish()
    }

    /// Runs it and parses the report. `--output json` must be among its flags.
    pub fn report(self) -> (Value, Ran) {
        let ran = self.go();
        let report = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| {
            panic!("no JSON on standard output ({error}): {}\n{}", ran.text(), ran.stderr)
        });
        (report, ran)
    }

    /// Starts the command.
    pub fn start(mut self) -> Running {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = self.command.spawn().expect("skep starts");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        if self.endless {
            return Running { child, began, _stdin: Some(stdin) };
        }
        let bytes = self.stdin;
        // The guest may not read it.
        std::thread::spawn(move || {
            let _ = stdin.write_all(&bytes);
        });
        Running { child, began, _stdin: None }
    }
}

/// A running command.
#[derive(Debug)]
pub struct Running {
    child: Child,
    began: Instant,
    _stdin: Option<ChildStdin>,
}

impl Running {
    /// Reads standard output until it contains `text`.
    pub fn wait_for_output(&mut self, text: &str) {
        let out = self.child.stdout.as_mut().expect("standard output is piped");
        let mut seen = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&seen).contains(text) {
            let n = out.read(&mut byte).expect("standard output can be read");
            assert!(n > 0, "the command ended before it printed {text}");
            seen.extend_from_slice(&byte);
        }
    }

    /// Waits until the process has a handler for a signal.
    pub fn wait_until_it_hears(&self, signal: Signal) {
        let bit = 1_u64 << (signal.as_raw() - 1);
        let until = Instant::now() + PATIENCE;
        while self.heard().is_none_or(|heard| heard & bit == 0) {
            assert!(Instant::now() < until, "the process has no handler for {signal:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the mask of signals with a handler.
    fn heard(&self) -> Option<u64> {
        u64::from_str_radix(&self.status("SigCgt:")?, 16).ok()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process is there");
    }

    /// Waits for the end without reading standard output.
    pub fn wait_unread(&mut self) -> (i32, Duration) {
        let status = self.child.wait().expect("the child can be waited for");
        (code(status), self.began.elapsed())
    }

    /// Waits for the end and reads all output.
    pub fn finish(mut self) -> Ran {
        let mut out = self.child.stdout.take().expect("standard output is piped");
        let mut err = self.child.stderr.take().expect("standard error is piped");
        let out = std::thread::spawn(move || read_all(&mut out));
        let err = std::thread::spawn(move || read_all(&mut err));
        let mut peak_bytes = 0;
        let status = loop {
            peak_bytes = self.peak_bytes().unwrap_or(peak_bytes);
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                break status;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = self.began.elapsed();
        Ran {
            code: code(status),
            stdout: out.join().expect("reading does not panic"),
            stderr: String::from_utf8_lossy(&err.join().expect("reading does not panic")).into(),
            took,
            peak_bytes,
        }
    }

    /// Returns the peak of resident memory.
    fn peak_bytes(&self) -> Option<u64> {
        let resident = self.status("VmHWM:")?;
        Some(resident.trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    }

    /// Returns a value of the process's `/proc` status.
    fn status(&self, name: &str) -> Option<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(value.trim().to_owned())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Ran {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into()
    }

    /// Asserts the exit code, and shows the output otherwise.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.text(), self.stderr);
        self
    }

    /// Asserts that standard error contains these words.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "{words:?} is not in: {}", self.stderr);
        self
    }

    /// Asserts that standard output contains these words.
    #[track_caller]
    pub fn prints(self, words: &str) -> Self {
        assert!(
            self.text().contains(words),
            "{words:?} is not in: {}\n{}",
            self.text(),
            self.stderr
        );
        self
    }
}

fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn read_all(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    bytes
}
