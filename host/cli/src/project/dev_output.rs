//! The transcript of a worker under development, as it happens.

use std::sync::Arc;

use futures_util::StreamExt;
use skep_protocol::text::neutral;
use skep_protocol::{Denial, Entry, EntryKind, Grants, TurnError, Turns, WorkerId};
use skep_runtime::Embedded;
use tokio::sync::Mutex;

use crate::terminal::{self, LostOutput};
use crate::worker::entry_line;

/// Longest body that is shown, in characters.
const SHOWN: usize = 2_000;

/// Prints the entries of a worker, and remembers what was denied last.
#[derive(Clone, Default)]
pub(super) struct DevOutput {
    denied: Arc<Mutex<Option<Grants>>>,
}

impl DevOutput {
    /// Returns the grants that would have allowed what was denied last, and forgets them.
    pub(super) async fn take_denied(&self) -> Option<Grants> {
        self.denied.lock().await.take()
    }

    /// Prints new entries until the stream ends.
    pub(super) async fn follow(self, runtime: Embedded, worker: WorkerId) {
        let mut entries = match runtime.subscribe(worker, None, None).await {
            Ok(entries) => entries,
            Err(error) => {
                return terminal::say("error", &format!("cannot follow the worker: {error}"));
            }
        };
        while let Some(entry) = entries.next().await {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    return terminal::say("error", &format!("cannot follow the worker: {error}"));
                }
            };
            // The terminal is gone: the host goes on without it.
            if self.show(&entry).await.is_err() {
                return;
            }
        }
    }

    async fn show(&self, entry: &Entry) -> Result<(), LostOutput> {
        let body = &entry.payload.body;
        let label = neutral(entry.label.as_deref().unwrap_or_default()).to_string();
        match entry.kind {
            EntryKind::Input => terminal::try_say("input", &text(body)),
            EntryKind::Output => terminal::try_say("reply", &text(body)),
            EntryKind::Event => terminal::try_say("event", &format!("{label}: {}", text(body))),
            EntryKind::Log => {
                let line = [body.as_ref(), b"\n"].concat();
                match label.as_str() {
                    "stderr" => terminal::print_guest_error(&line),
                    _ => terminal::print_guest(&line),
                }
            }
            EntryKind::Failure => failure(entry),
            EntryKind::Access => terminal::try_say("error", &entry_line::accessed(entry)),
            EntryKind::Denied => self.denied(entry).await,
            EntryKind::Failed => {
                terminal::try_say("error", &format!("the worker is down: {label}"))
            }
            _ => Ok(()),
        }
    }

    async fn denied(&self, entry: &Entry) -> Result<(), LostOutput> {
        let denial: Denial = serde_json::from_slice(&entry.payload.body).unwrap_or_default();
        let wanted = denial.wanted.or_else(|| entry.label.clone()).unwrap_or_default();
        terminal::try_say("denied", &neutral(&wanted).to_string())?;
        let Some(grants) = denial.grant.filter(|grants| !grants.is_empty()) else { return Ok(()) };
        let lines = manifest_lines(&grants).join(", ");
        *self.denied.lock().await = Some(grants);
        terminal::try_say(
            "hint",
            &format!("type g and Enter to add to [grants] of skep-worker.toml: {lines}"),
        )
    }
}

/// Returns the lines of `[grants]` that grant these.
pub(super) fn manifest_lines(grants: &Grants) -> Vec<String> {
    let key = |kind: &str| match kind {
        "scope" => "scopes",
        "secret" => "secrets",
        _ => "http",
    };
    let line = |(kind, what): (&'static str, String)| format!("{} = [{what:?}]", key(kind));
    grants.words().into_iter().map(line).collect()
}

fn failure(entry: &Entry) -> Result<(), LostOutput> {
    let ending = entry.ending.map_or("failed", skep_protocol::Ending::as_str);
    let Ok(error) = serde_json::from_slice::<TurnError>(&entry.payload.body) else {
        return terminal::try_say("error", ending);
    };
    let (code, message) = (neutral(&error.code).to_string(), neutral(&error.message).to_string());
    terminal::try_say("error", &format!("{ending}: {message} ({code})"))?;
    error.frames.iter().try_for_each(|frame| terminal::try_say("  at", &neutral(frame).to_string()))
}

fn text(body: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(body) else {
        return format!("{} bytes that are not text", body.len());
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", neutral(&text[..end]), body.len()),
        None => neutral(text).to_string(),
    }
}
