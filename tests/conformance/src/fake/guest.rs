//! The guests `scribe`, `echo`, `hello` and `probe`, as far as the suite uses them. `responder` has no
//! turns.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::pending;
use std::time::{Duration, Instant};

use base64::Engine as _;
use skep_protocol::*;

use super::FakeRuntime;
use crate::Guest;

/// The first bytes of a component.
const MAGIC: &[u8] = b"\0asm\x0d\0\x01\0";

/// Returns the bytes that stand for a guest's component.
pub(super) fn wasm(guest: Guest) -> Vec<u8> {
    [MAGIC, guest.name().as_bytes()].concat()
}

/// Returns the guest of these bytes, or the reason why there is none.
pub(super) fn read(wasm: &[u8]) -> Result<Guest, &'static str> {
    let name = wasm.strip_prefix(MAGIC).ok_or("it is not a component")?;
    let guest = Guest::ALL.into_iter().find(|guest| guest.name().as_bytes() == name);
    guest.ok_or("it exports nothing that can be run")
}

/// One turn of a worker.
pub(super) struct Turn {
    pub(super) runtime: FakeRuntime,
    pub(super) runtime_id: RuntimeId,
    pub(super) worker: WorkerId,
    pub(super) input: InputId,
    pub(super) attempt: u32,
    /// Turns of the instance with this one.
    pub(super) turns: u64,
    pub(super) guest: Guest,
    pub(super) config: Option<ConfigValues>,
    pub(super) limits: Limits,
    pub(super) began: Instant,
}

/// The result of a turn.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    /// The new state, if the turn completed.
    pub(super) state: Option<BTreeMap<String, Vec<u8>>>,
    /// True if the instance can handle another turn.
    pub(super) healthy: bool,
}

/// The reason why a guest did not answer.
enum Fault {
    Failed(String, String),
    Trapped,
    Exited(u8),
    Limit(LimitName),
    /// The disk was taken over, so the result is discarded.
    Gone,
}

impl From<Error> for Fault {
    fn from(_: Error) -> Self {
        Self::Gone
    }
}

fn failed(code: &str, message: impl Into<String>) -> Fault {
    Fault::Failed(code.into(), message.into())
}

impl Ended {
    /// Makes the result of a turn that was ended from outside.
    pub(super) fn cut(ending: Ending) -> Self {
        Self::badly(ending, ending.as_str().into(), "the turn was ended from outside".into(), None)
    }

    fn badly(ending: Ending, code: String, message: String, limit: Option<LimitName>) -> Self {
        let error =
            Some(TurnError { code, message, limit, frames: Vec::new(), stderr: Vec::new() });
        let healthy = ending == Ending::Failed;
        Self { outcome: Outcome { ending, output: None, error }, state: None, healthy }
    }

    fn with(fault: Fault) -> Self {
        match fault {
            Fault::Failed(code, message) => Self::badly(Ending::Failed, code, message, None),
            Fault::Trapped => Self::badly(Ending::Trapped, "trapped".into(), "it".into(), None),
            Fault::Exited(code) => {
                let message = format!("the worker exited with {code} instead of answering");
                Self::badly(Ending::Trapped, "exited".into(), message, None)
            }
            Fault::Limit(name) => Self::held_to(name),
            Fault::Gone => Self::badly(Ending::HostFault, "gone".into(), "gone".into(), None),
        }
    }

    pub(super) fn held_to(name: LimitName) -> Self {
        Self::badly(Ending::Limit, "limit".into(), name.to_string(), Some(name))
    }

    fn well(output: Output, state: Option<BTreeMap<String, Vec<u8>>>) -> Self {
        let outcome = Outcome { ending: Ending::Completed, output: Some(output), error: None };
        Self { outcome, state, healthy: true }
    }
}

impl Turn {
    pub(super) async fn handle(&self, payload: &Payload) -> Ended {
        match self.guest {
            Guest::Echo => Ended::well(Output::Message(payload.clone()), None),
            Guest::Scribe => match self.scribe(&String::from_utf8_lossy(&payload.body)).await {
                Ok((text, state)) => {
                    let body = text.into_bytes();
                    let content_type = "text/plain; charset=utf-8".into();
                    Ended::well(
                        Output::Message(Payload { content_type, body: body.into() }),
                        Some(state),
                    )
                }
                Err(fault) => Ended::with(fault),
            },
            Guest::Hello | Guest::Probe => self.command(payload).await,
            Guest::Responder => Ended::with(Fault::Trapped),
        }
    }

    async fn scribe(&self, line: &str) -> Result<(String, BTreeMap<String, Vec<u8>>), Fault> {
        let (verb, rest) = split(line);
        let mut state =
            self.runtime.with(|disk| disk.worker(self.worker).map(|row| row.state.clone()))??;
        let mut answer = "ok".to_owned();
        match verb {
            "set" => {
                let (key, value) = split(rest);
                state.insert(key.into(), value.into());
                let bytes = state.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
                if bytes as u64 > self.limits.state_bytes {
                    return Err(failed("too-large", "state_bytes"));
                }
            }
            "get" => {
                let value = state.get(rest).ok_or_else(|| failed("no-such-key", rest))?;
                answer = String::from_utf8_lossy(value).into_owned();
            }
            "emit" => {
                let (label, text) = split(rest);
                self.emit(label, text, 0)?;
            }
            "emit-many" => {
                for n in 0..number(rest)? as u64 {
                    self.emit("tick", &n.to_string(), n)?;
                    tokio::task::yield_now().await;
                }
            }
            "read" => answer = self.entries(rest)?,
            "whoami" => {
                answer = format!(
                    "runtime {}\nworker {}\ninput {}\nattempt {}\nturns {}",
                    self.runtime_id, self.worker, self.input, self.attempt, self.turns
                );
            }
            "config" => {
                let values = self.config.iter().flat_map(ConfigValues::iter);
                let lines: Vec<_> = values.map(|(key, value)| format!("{key}={value}")).collect();
                answer = lines.join("\n");
            }
            "echo" => answer = rest.to_owned(),
            "blob" => answer = ".".repeat(number(rest)? as usize),
            "fail" => {
                let (code, message) = split(rest);
                return Err(failed(code, message));
            }
            "panic" => return Err(Fault::Trapped),
            "exit" => return Err(Fault::Exited(number(rest)? as u8)),
            "grow" => return Err(Fault::Limit(LimitName::memory_bytes)),
            "spin" => pending().await,
            "nap" => tokio::time::sleep(Duration::from_secs_f64(number(rest)?)).await,
            verb => return Err(failed("bad-request", format!("there is no verb {verb}"))),
        }
        if answer.len() as u64 > self.limits.output_bytes {
            return Err(Fault::Limit(LimitName::output_bytes));
        }
        Ok((answer, state))
    }

    fn emit(&self, label: &str, text: &str, nth: u64) -> Result<(), Fault> {
        if nth >= self.limits.events_per_turn || text.len() as u64 > self.limits.event_bytes {
            return Err(failed("too-many", "that is past a limit"));
        }
        self.append(EntryKind::Event, label, text.as_bytes())
    }

    fn append(&self, kind: EntryKind, label: &str, body: &[u8]) -> Result<(), Fault> {
        self.runtime.with(|disk| {
            let row = disk.worker(self.worker)?;
            row.append(kind, Some(self.input), Some(label), None, body.to_vec());
            Ok::<_, Error>(())
        })??;
        Ok(())
    }

    fn entries(&self, rest: &str) -> Result<String, Fault> {
        let (after, limit) = split(rest);
        let (after, limit) = (Cursor(number(after)? as u64), number(limit)? as usize);
        let lines = self.runtime.with(|disk| {
            let row = disk.worker(self.worker)?;
            let entries = row.entries.iter().filter(|entry| entry.seq > after).take(limit);
            let lines = entries.map(|entry| {
                let label = entry.label.as_ref().map_or(String::new(), |label| format!(":{label}"));
                let body = String::from_utf8_lossy(&entry.payload.body);
                format!("{} {}{label} {body}", entry.seq, entry.kind.as_str())
            });
            Ok::<_, Error>(lines.collect::<Vec<_>>())
        })??;
        Ok(lines.join("\n"))
    }

    async fn command(&self, payload: &Payload) -> Ended {
        let request = run_request(payload).expect("the request was checked when it was accepted");
        let mut run = Run { turn: self, stdout: String::new(), stderr: String::new(), cut: false };
        let args: Vec<_> = request.args.iter().map(String::as_str).collect();
        let ended = match self.guest {
            Guest::Hello => run.hello(&args, &request.env),
            _ => {
                let deadline = Duration::from_millis(self.limits.turn_deadline_ms);
                // The output is kept however the program ended, so its own timeout comes first.
                let probe = tokio::time::timeout(deadline * 9 / 10, run.probe(&args, &request));
                probe.await.unwrap_or(Err(Ending::Deadline))
            }
        };
        let output = Output::Run(RunOutput {
            exit_code: ended.ok(),
            stdout: run.stdout.into_bytes(),
            stderr: run.stderr.into_bytes(),
            truncated: run.cut,
        });
        match ended {
            Ok(_) => Ended { healthy: false, ..Ended::well(output, None) },
            Err(ending) => {
                let mut ended = Ended::cut(ending);
                ended.outcome.output = Some(output);
                ended
            }
        }
    }
}

/// One run of a command, and its output.
struct Run<'a> {
    turn: &'a Turn,
    stdout: String,
    stderr: String,
    cut: bool,
}

impl Run<'_> {
    fn print(&mut self, line: &str) {
        // If the disk was taken over, both this and the end of the turn are discarded.
        let _ = self.turn.append(EntryKind::Log, "stdout", line.as_bytes());
        self.stdout += line;
        self.stdout += "\n";
    }

    fn hello(&mut self, args: &[&str], env: &BTreeMap<String, String>) -> Result<u8, Ending> {
        let (code, words) = match args {
            ["--exit", code, words @ ..] => (code.parse().unwrap_or(2), words),
            words => (0, words),
        };
        let whom = if words.is_empty() { "world".to_owned() } else { words.join(" ") };
        self.print(&format!("hello, {whom}"));
        for (place, word) in words.iter().enumerate() {
            self.print(&format!("argument {}: {word}", place + 1));
        }
        for (name, value) in env {
            self.print(&format!("environment {name}={value}"));
        }
        Ok(code)
    }

    async fn probe(&mut self, args: &[&str], request: &RunRequest) -> Result<u8, Ending> {
        match *args {
            ["cat"] => {
                for line in stdin(request).unwrap_or_default().lines() {
                    self.print(line);
                }
            }
            ["append", path, text] => {
                let _ = self.turn.runtime.with(|disk| {
                    let row = disk.worker(self.turn.worker)?;
                    row.files.append(path.trim_start_matches("/data/"), text);
                    row.measure();
                    Ok::<_, Error>(())
                });
                self.print("ok");
            }
            ["read", path] => {
                let file = self.turn.runtime.with(|disk| {
                    let row = disk.worker(self.turn.worker).ok()?;
                    row.files.read(path.trim_start_matches("/data/")).ok()
                });
                match file {
                    Ok(Some((_, file))) => self.stdout.push_str(&String::from_utf8_lossy(&file)),
                    _ => return Ok(1),
                }
            }
            ["panic"] => {
                writeln!(self.stderr, "the probe panics").expect("writes to a string succeed");
                return Err(Ending::Trapped);
            }
            ["flood"] => {
                while self.stdout.len() < self.turn.limits.log_bytes_per_turn as usize {
                    self.print("the probe floods its standard output with this line");
                }
                self.cut = true;
                let _ = self.turn.runtime.with(|disk| {
                    let row = disk.worker(self.turn.worker)?;
                    let input = Some(self.turn.input);
                    row.append(EntryKind::Log, input, Some("stdout"), None, Vec::new()).truncated =
                        true;
                    Ok::<_, Error>(())
                });
                pending().await
            }
            ["spin"] => pending().await,
            _ => return Ok(2),
        }
        Ok(0)
    }
}

/// Parses the input of a command.
pub(super) fn run_request(payload: &Payload) -> Result<RunRequest, Error> {
    let media = payload.content_type.split(';').next();
    let json = serde_json::from_slice::<serde_json::Value>(&payload.body).ok();
    // A derived deserializer would also accept an array of the fields' values.
    let json = json.filter(|json| json.is_object() && media == Some(input::RUN_REQUEST));
    let request = json.and_then(|json| serde_json::from_value::<RunRequest>(json).ok());
    let request = request.filter(|request| {
        let twice = request.stdin.is_some() && request.stdin_base64.is_some();
        let nul = request.args.iter().any(|arg| arg.contains('\0'));
        let named = request.env.keys().all(|name| !name.is_empty() && !name.contains('='));
        !twice && !nul && named && stdin(request).is_some()
    });
    request.ok_or(Error::InvalidRequest(Invalid::RunRequest))
}

/// Returns the standard input, or `None` if it is not valid base64.
fn stdin(request: &RunRequest) -> Option<String> {
    let Some(coded) = &request.stdin_base64 else {
        return Some(request.stdin.clone().unwrap_or_default());
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(coded).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn split(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn number(text: &str) -> Result<f64, Fault> {
    text.parse().map_err(|_| failed("bad-request", format!("{text:?} is not a number")))
}
