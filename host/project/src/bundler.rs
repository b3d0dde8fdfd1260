//! The bundler of JavaScript as a process that stays: it reads a request a line and answers with a
//! line, and its caches stay warm. A one-shot bundle spends its time on starting node.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};

/// A running bundler. It is ended with this value.
#[derive(Debug)]
pub(crate) struct Bundler {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleRequest<'a> {
    entry: &'a str,
    bundle_only: &'a Path,
}

#[derive(Deserialize)]
struct BundleAnswer {
    ok: bool,
    messages: Vec<String>,
}

impl Bundler {
    /// Starts a bundler by its command.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        let requests = child.stdin.take().ok_or_else(closed)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(closed)?);
        Ok(Self { child, requests, answers })
    }

    /// Bundles an entry into a file. Returns what is wrong with the source, if something is.
    ///
    /// # Errors
    /// If the process is gone, or answers with something else.
    pub(crate) fn bundle(&mut self, entry: &str, out: &Path) -> io::Result<Result<(), String>> {
        let request = serde_json::to_string(&BundleRequest { entry, bundle_only: out })?;
        writeln!(self.requests, "{request}")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let BundleAnswer { ok, messages } = serde_json::from_str(&line)?;
        Ok(if ok { Ok(()) } else { Err(messages.join("\n")) })
    }
}

impl Drop for Bundler {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answering(line: &str) -> Bundler {
        let script = format!("while read request; do echo '{line}'; done");
        Bundler::start(Command::new("sh").args(["-c", &script])).unwrap()
    }

    #[test]
    fn faults_of_the_source_are_no_faults_of_the_bundler() {
        let out = Path::new("out.js");
        let mut bundler = answering(r#"{"ok":true,"messages":["warning"],"ms":1}"#);
        assert_eq!(bundler.bundle("a.js", out).unwrap(), Ok(()));
        assert_eq!(bundler.bundle("a.js", out).unwrap(), Ok(()));
        let mut bundler = answering(r#"{"ok":false,"messages":["a.js:1:2: error: no"],"ms":1}"#);
        assert_eq!(bundler.bundle("a.js", out).unwrap(), Err("a.js:1:2: error: no".into()));
    }

    #[test]
    fn a_bundler_that_is_gone_is_an_error() {
        let mut bundler = Bundler::start(&mut Command::new("true")).unwrap();
        assert!(bundler.bundle("a.js", Path::new("out.js")).is_err());
    }
}
