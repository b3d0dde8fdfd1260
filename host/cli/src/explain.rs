//! `skep explain`: what happened to an input, where in the source, and what to change.

use clap::Args;
use skep_client::Client;
use skep_protocol::text::neutral;
use skep_protocol::{
    Cursor, Denial, Ending, Entry, EntryFilter, EntryKind, InputId, LimitName, Limits, ListEntries,
    TurnError, Turns, WorkerId, Workers,
};

use crate::connect::{ConnectArgs, talk};
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ExplainReport;
use crate::{json, terminal};

/// Entries of a page of a transcript.
const PAGE: usize = 500;

/// Lines of a worker's output that an explanation repeats.
const LINES: usize = 10;

/// Explain what happened to an input: the outcome, the place in the source, and what to change
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep explain tally                the last input that did not complete, or else the last one
  skep explain tally 01890a5d-ac96-774b-bcce-b302099a8057")]
pub(crate) struct ExplainArgs {
    /// Worker: its id, RUNTIME/ID, or name
    worker: String,

    /// Id of the input
    input: Option<InputId>,

    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn explain(arguments: &ExplainArgs) -> u8 {
    talk(arguments.connect.output, async {
        let (runtime, worker) = arguments.connect.connect()?.worker(&arguments.worker).await?;
        let entries = entries(&runtime, worker, arguments.input).await?;
        let name = &arguments.worker;
        let limits = runtime.get(worker).await?.spec.limits.over(&Limits::default());
        let explained = explanation(&entries, name, |limit| limits.get(limit));
        match arguments.connect.output {
            OutputFormat::Json => terminal::print(&json::line(&explained))?,
            OutputFormat::Text => terminal::print(text(&explained).as_bytes())?,
        }
        Ok(0)
    })
}

/// Reads the entries of one input: the named one, the last that did not complete, or the last.
async fn entries(
    runtime: &Client,
    worker: WorkerId,
    input: Option<InputId>,
) -> Result<Vec<Entry>, Failed> {
    let mut turns = TurnEntries::default();
    let mut after = Cursor(0);
    loop {
        let filter = EntryFilter { input_id: input, ..EntryFilter::default() };
        let query = ListEntries { filter, ..ListEntries::after(after, PAGE) };
        let page = runtime.transcript(worker, query).await?;
        for entry in page.entries {
            if entry.input_id.is_some() && input.is_none_or(|named| entry.input_id == Some(named)) {
                turns.push(entry);
            }
        }
        after = page.next;
        if !page.more {
            break;
        }
    }
    let found = turns.found();
    if found.is_empty() {
        return Err(match input {
            Some(input) => Failed::here(format!("the transcript has no input {input}"))
                .hint("`skep worker events WORKER` lists its entries; old ones may be trimmed"),
            None => Failed::here("this worker has had no input yet")
                .hint("`skep worker send WORKER …` sends one"),
        });
    }
    Ok(found)
}

/// The entries of the turns that are worth explaining, collected in the order of the transcript.
#[derive(Default)]
struct TurnEntries {
    current: Vec<Entry>,
    /// The last turn that ended.
    last: Vec<Entry>,
    /// The last turn that did not complete.
    failed: Vec<Entry>,
}

impl TurnEntries {
    /// Adds an entry. Turns run one after another, but inputs are accepted while a turn runs.
    fn push(&mut self, entry: Entry) {
        let is_same = self.current.first().is_some_and(|first| first.input_id == entry.input_id);
        if !is_same {
            if entry.kind == EntryKind::Input && !self.current.is_empty() {
                return;
            }
            self.current.clear();
        }
        let kind = entry.kind;
        self.current.push(entry);
        match kind {
            EntryKind::Output => self.last = std::mem::take(&mut self.current),
            EntryKind::Failure => {
                self.last = std::mem::take(&mut self.current);
                self.failed.clone_from(&self.last);
            }
            _ => {}
        }
    }

    /// Returns the last turn that did not complete, or else the last one, or else the present one.
    fn found(self) -> Vec<Entry> {
        let all = [self.failed, self.last, self.current];
        all.into_iter().find(|entries| !entries.is_empty()).unwrap_or_default()
    }
}

/// Explains the entries of an input.
fn explanation(entries: &[Entry], worker: &str, limit: impl Fn(LimitName) -> u64) -> ExplainReport {
    let mut report = ExplainReport {
        input_id: entries.first().and_then(|entry| entry.input_id),
        outcome: "running",
        ..ExplainReport::default()
    };
    for entry in entries {
        let body = &entry.payload.body;
        match entry.kind {
            EntryKind::Log => {
                report.output.push(String::from_utf8_lossy(body).into_owned());
                if report.output.len() > LINES {
                    report.output.remove(0);
                }
            }
            EntryKind::Event => report.events += 1,
            EntryKind::Denied => {
                let denial: Denial = serde_json::from_slice(body).unwrap_or_default();
                let wanted = denial.wanted.clone().or_else(|| entry.label.clone());
                report.denied.extend(wanted);
                if let Some(grants) = denial.grant.filter(|grants| !grants.is_empty()) {
                    report.next.push(format!("skep worker grant {worker} {}", grants.flags()));
                }
            }
            EntryKind::Output => report.outcome = Ending::Completed.as_str(),
            EntryKind::Failure => {
                report.outcome = entry.ending.unwrap_or(Ending::Failed).as_str();
                if let Ok(error) = serde_json::from_slice::<TurnError>(body) {
                    advise(&error, entry.ending, &limit, &mut report.next);
                    report.error = Some(error);
                }
            }
            _ => {}
        }
    }
    report.next.dedup();
    report
}

/// Adds what to change so that the next input fares better.
fn advise(
    error: &TurnError,
    ending: Option<Ending>,
    limit: &impl Fn(LimitName) -> u64,
    next: &mut Vec<String>,
) {
    let exceeded = match (error.limit, ending) {
        (Some(limit), _) => Some(limit),
        (None, Some(Ending::Deadline)) => Some(LimitName::turn_deadline_ms),
        _ => None,
    };
    if let Some(name) = exceeded {
        let value = limit(name);
        next.push(format!(
            "do less in one turn, or raise the limit: under [limits] in skep-worker.toml, {name} = \
             {} (it is {value}), and create the worker again",
            value.saturating_mul(2)
        ));
        return;
    }
    let advice = match error.code.as_str() {
        "exception" => {
            "mend the exception at the place that the message names; the state is as it \
                        was before the turn"
        }
        "state-invalid-key" => "use a key of 1 to 512 bytes",
        "state-too-large" => "delete old keys, or raise state_bytes under [limits]",
        "transcript-too-large" => "emit less in one event, or write a file to /data",
        "transcript-too-many" => "emit fewer events in one turn",
        "transcript-invalid-kind" => "name events with a-z, 0-9, `-`, `_` and `.`",
        "fetch-denied" => "grant the host with http = [\"https://HOST\"] under [grants]",
        "io" => "check the path: a worker has /data and the directories it was granted",
        "not-text" => "send UTF-8, or read the body as bytes",
        _ => match ending {
            Some(Ending::Trapped) => {
                "read the frames: the first one of your own code is the place; \
                                      build with debug information for files and lines"
            }
            Some(Ending::HostFault) => "send the input again; the fault is the host's",
            Some(Ending::Cancelled) => "send the input again if it was not meant to be cancelled",
            _ => return,
        },
    };
    next.push(advice.to_owned());
}

fn text(report: &ExplainReport) -> String {
    let mut text = String::new();
    let mut line =
        |label: &str, what: &str| text.push_str(&format!("{label:<9}{}\n", neutral(what)));
    if let Some(input) = report.input_id {
        line("input", &input.to_string());
    }
    line("outcome", report.outcome);
    if let Some(error) = &report.error {
        line("error", &format!("{} ({})", error.message, error.code));
        for frame in &error.frames {
            line("  at", frame);
        }
    }
    for wanted in &report.denied {
        line("denied", wanted);
    }
    if report.events > 0 {
        line("events", &report.events.to_string());
    }
    for output in &report.output {
        line("output", output);
    }
    for next in &report.next {
        line("next", next);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str, ending: Option<&str>, body: &str) -> Entry {
        let mut entry = serde_json::json!({ "seq": 7, "at": "2026-11-21T10:00:00.000Z",
            "kind": kind, "content_type": "application/json", "body": body,
            "input_id": "01890a5d-ac96-774b-bcce-b302099a8057" });
        if let Some(ending) = ending {
            entry["outcome"] = ending.into();
        }
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn a_limit_is_named_with_its_value_and_the_line_that_raises_it() {
        let failure = r#"{"code":"limit","message":"too much","limit":"memory_bytes"}"#;
        let entries = [entry("input", None, "x"), entry("failure", Some("limit"), failure)];
        let report = explanation(&entries, "tally", |_| 64);
        assert_eq!(report.outcome, "limit");
        assert!(report.next[0].contains("memory_bytes = 128 (it is 64)"), "{:?}", report.next);
    }

    #[test]
    fn a_denial_becomes_the_command_that_allows_it() {
        let denial = r#"{"wanted":"GET https://a.b","grant":{"scopes":[],"http":[{"scheme":"https",
            "host":"a.b"}]}}"#;
        let failure = r#"{"code":"fetch-denied","message":"no"}"#;
        let entries = [
            entry("denied", None, denial),
            entry("log", None, "trying\u{1b}[2J"),
            entry("failure", Some("failed"), failure),
        ];
        let report = explanation(&entries, "tally", |_| 0);
        let text = text(&report);
        assert!(text.contains("skep worker grant tally --http https://a.b"), "{text}");
        assert!(text.contains("denied   GET https://a.b") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn an_input_that_arrives_in_a_turn_takes_no_entry_from_it() {
        let other = |mut entry: Entry| {
            entry.input_id = "01890a5d-ac96-774b-bcce-b302099a8058".parse().ok();
            entry
        };
        let mut turns = TurnEntries::default();
        for entry in [
            entry("input", None, "1"),
            entry("log", None, "line"),
            other(entry("input", None, "2")),
            entry("failure", Some("failed"), r#"{"code":"io","message":"no"}"#),
            other(entry("log", None, "other")),
            other(entry("output", Some("completed"), "7")),
        ] {
            turns.push(entry);
        }
        let report = explanation(&turns.found(), "tally", |_| 0);
        assert_eq!((report.outcome, report.output), ("failed", vec!["line".to_owned()]));
    }

    #[test]
    fn a_completed_input_needs_no_advice() {
        let report = explanation(&[entry("output", Some("completed"), "7")], "tally", |_| 0);
        assert_eq!((report.outcome, report.next.len()), ("completed", 0));
    }
}
