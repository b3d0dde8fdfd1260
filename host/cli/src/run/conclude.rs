//! The end of a run, shown: as one JSON object, or as lines for a person.

use skep_protocol::Payload;
use skep_protocol::text::neutral;

use super::backtrace::Backtrace;
use super::explain::{self, Explained};
use crate::report::{
    ErrorReport, EventReport, FileReport, FrameReport, PayloadReport, RunReport, SkippedReport,
    TrapReport,
};
use crate::terminal::Lost;
use crate::{OutputFormat, json, terminal};

/// How a conclusion is shown.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) output: OutputFormat,
    /// How much of a crash's stack lines for a person have. A report has all of it.
    pub(super) backtrace: Backtrace,
}

/// All that there is to show of a run.
pub(super) struct Conclusion {
    /// Its end, in words.
    pub(super) explained: Explained,
    /// What the guest emitted, in order.
    pub(super) events: Vec<Event>,
    /// What a service answered.
    pub(super) output: Option<Payload>,
    /// The rest, as far as it came.
    pub(super) report: RunReport,
}

/// An event that the guest emitted.
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) kind: String,
    pub(super) payload: Payload,
}

impl From<Explained> for Conclusion {
    /// Of a run whose guest was not started.
    fn from(explained: Explained) -> Self {
        let report = RunReport::default();
        Self { explained, events: Vec::new(), output: None, report }
    }
}

/// Shows it and returns the exit code.
pub(super) fn show(form: Form, conclusion: Conclusion) -> u8 {
    let code = conclusion.explained.exit_code;
    let shown = match form.output {
        OutputFormat::Json => terminal::print(&json::line(&report(conclusion))),
        OutputFormat::Text => text(form.backtrace, conclusion),
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
    });
    let event = |Event { seq, kind, payload: it }| EventReport { seq, kind, payload: payload(it) };
    report.events = events.into_iter().map(event).collect();
    report.output = output.map(payload);
    report
}

/// Prints the lines. The answer of a service is the result; all else is beside it.
fn text(backtrace: Backtrace, conclusion: Conclusion) -> Result<(), Lost> {
    let Conclusion { explained, events, output, report } = conclusion;
    for Event { kind, payload: Payload { content_type, body }, .. } in &events {
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
        let (shown, hidden) = backtrace.pick(&crash.frames);
        for (depth, frame) in shown {
            let source = match &frame.source {
                Some(source) => format!("  ({})", neutral(source)),
                None => String::new(),
            };
            terminal::say(
                &format!("  {depth:>2}"),
                &format!("{}{source}", neutral(&frame.function)),
            );
        }
        if hidden > 0 {
            let frames = if hidden == 1 { "frame" } else { "frames" };
            let how = "--backtrace full shows all";
            terminal::say("note", &format!("{hidden} {frames} of libraries not shown; {how}"));
        }
    }
    if let Some(hint) = explained.hint {
        terminal::say("hint", &hint);
    }
    printed
}
