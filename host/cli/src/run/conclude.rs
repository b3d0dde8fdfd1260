//! The printed result of a run: one JSON object, or lines for people.

use skep_protocol::Payload;
use skep_protocol::text::neutral;
use skep_sandbox::Frame;

use super::args::RunArgs;
use super::backtrace::Backtrace;
use super::explain::{self, Explained};
use crate::output::OutputFormat;
use crate::report::{
    ErrorReport, EventReport, FileReport, FrameReport, PayloadReport, RunReport, SkippedReport,
    TrapReport,
};
use crate::terminal::LostOutput;
use crate::{json, terminal};

/// The style in which a conclusion is printed.
#[derive(Clone, Copy)]
pub(super) struct RunStyle {
    output: OutputFormat,
    /// The frames of a crash that the text format shows. JSON has all of them.
    backtrace: Backtrace,
}

impl RunStyle {
    /// Returns the style that the command line asks for.
    pub(super) fn of(arguments: &RunArgs) -> Self {
        Self { output: arguments.output, backtrace: arguments.backtrace }
    }
}

/// The result of a run.
pub(super) struct Conclusion {
    /// The end of the run.
    pub(super) explained: Explained,
    /// The events that the guest emitted, in order.
    pub(super) events: Vec<EmittedEvent>,
    /// The answer of a service.
    pub(super) output: Option<Payload>,
    /// The rest of the report, as far as the run got.
    pub(super) report: RunReport,
}

/// An event that the guest emitted.
pub(super) struct EmittedEvent {
    pub(super) seq: u64,
    pub(super) kind: String,
    pub(super) payload: Payload,
}

impl From<Explained> for Conclusion {
    /// Concludes a run whose guest was not started.
    fn from(explained: Explained) -> Self {
        let report = RunReport::default();
        Self { explained, events: Vec::new(), output: None, report }
    }
}

/// Prints a conclusion and returns the exit code.
pub(super) fn show(style: RunStyle, conclusion: Conclusion) -> u8 {
    let code = conclusion.explained.exit_code;
    let shown = match style.output {
        OutputFormat::Json => terminal::print(&json::line(&report(conclusion))),
        OutputFormat::Text => text(style.backtrace, conclusion),
    };
    terminal::conclude(shown, code)
}

fn report(conclusion: Conclusion) -> RunReport {
    let Conclusion { explained, events, output, mut report } = conclusion;
    let payload = |Payload { content_type, body }| PayloadReport::new(content_type, body.to_vec());
    report.status = explained.status;
    report.exit_code = explained.exit_code;
    report.guest_exit_code = explained.guest_exit_code;
    report.limit = explained.limit;
    report.error = explained.message.map(|message| ErrorReport {
        code: explain::code(explained.status),
        message,
        hint: explained.hint,
    });
    report.trap = explained.crash.map(|crash| TrapReport {
        message: crash.message,
        frames: crash
            .frames
            .into_iter()
            .map(|f| FrameReport { function: f.function, module: f.module, source: f.source })
            .collect(),
        stderr: crash.stderr,
    });
    let event =
        |EmittedEvent { seq, kind, payload: it }| EventReport { seq, kind, payload: payload(it) };
    report.events = events.into_iter().map(event).collect();
    report.output = output.map(payload);
    report
}

/// Prints a conclusion for people. Only a service's answer goes to standard output.
fn text(backtrace: Backtrace, conclusion: Conclusion) -> Result<(), LostOutput> {
    let Conclusion { explained, events, output, report } = conclusion;
    for EmittedEvent { kind, payload: Payload { content_type, body }, .. } in &events {
        let text = match str::from_utf8(body) {
            Ok(text) => neutral(text).to_string(),
            Err(_) => format!("{} bytes of {}", body.len(), neutral(content_type)),
        };
        terminal::say("event", &format!("{}: {text}", neutral(kind)));
    }
    let printed = output.map_or(Ok(()), |output| terminal::print_guest(&output.body));
    if let Some(out) = &report.out {
        for FileReport { path, bytes, digest } in &out.files {
            terminal::say("out", &format!("{} {bytes} bytes {digest}", neutral(path)));
        }
        for SkippedReport { path, reason } in &out.skipped {
            terminal::say("out", &format!("{} was not copied: {reason}", neutral(path)));
        }
    }
    for denied in &report.denials {
        let what = denied.wanted.as_deref().unwrap_or(denied.interface);
        let how = match &denied.allow {
            Some(flags) => format!("allow with {flags}"),
            None => "no flag allows it".into(),
        };
        terminal::say("denied", &format!("{} ({how})", neutral(what)));
    }
    if let Some(message) = explained.message {
        terminal::say("error", &message);
    }
    if let Some(crash) = explained.crash {
        say_frames(backtrace, &crash.frames);
    }
    if let Some(hint) = explained.hint {
        terminal::say("hint", &hint);
    }
    printed
}

fn say_frames(backtrace: Backtrace, frames: &[Frame]) {
    let (shown, hidden) = backtrace.pick(frames);
    for (depth, frame) in shown {
        let source = match &frame.source {
            Some(source) => format!("  ({})", neutral(source)),
            None => String::new(),
        };
        terminal::say(&format!("  {depth:>2}"), &format!("{}{source}", neutral(&frame.function)));
    }
    if hidden > 0 {
        let frames = if hidden == 1 { "library frame" } else { "library frames" };
        terminal::say("note", &format!("{hidden} {frames} not shown; --backtrace full shows all"));
    }
}
