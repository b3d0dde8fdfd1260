//! The printed result of a run: one JSON object, or lines for people.

use skep_protocol::Payload;
use skep_protocol::text::neutral;
use skep_sandbox::Frame;

use super::args::RunArgs;
use super::backtrace::Backtrace;
use super::explain::Explained;
use super::report_file::ReportFile;
use crate::exit;
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

/// Writes a conclusion to the file of `--report`, prints it, and returns the exit code.
pub(super) fn show(style: RunStyle, file: Option<ReportFile>, conclusion: Conclusion) -> u8 {
    let code = conclusion.explained.exit_code;
    let is_json = style.output == OutputFormat::Json;
    let line = (is_json || file.is_some()).then(|| json::line(&report(&conclusion)));
    let line = line.unwrap_or_default();
    let written = file.map_or(Ok(()), |file| file.write(&line));
    let shown = match is_json {
        true => terminal::print(&line),
        false => text(style.backtrace, conclusion),
    };
    let code = terminal::conclude(shown, code);
    match written {
        Ok(()) => code,
        Err(message) => {
            terminal::say("error", &message);
            if code == 0 { exit::SKEP_FAILED } else { code }
        }
    }
}

fn report(conclusion: &Conclusion) -> RunReport {
    let Conclusion { explained, events, output, report } = conclusion;
    let mut report = report.clone();
    let payload =
        |payload: &Payload| PayloadReport::new(payload.content_type.clone(), payload.body.to_vec());
    report.status = explained.status;
    report.exit_code = explained.exit_code;
    report.guest_exit_code = explained.guest_exit_code;
    report.limit = explained.limit;
    let ended_at = explained.limit.filter(|name| !report.limits_met.contains(name));
    report.limits_met.extend(ended_at);
    report.error = explained.message.clone().map(|message| ErrorReport {
        code: explained.code(),
        message,
        hint: explained.hint.clone(),
    });
    report.trap = explained.crash.as_ref().map(|crash| TrapReport {
        message: crash.message.clone(),
        frames: crash.frames.iter().map(frame).collect(),
        stderr: crash.stderr.clone(),
    });
    let event = |event: &EmittedEvent| EventReport {
        seq: event.seq,
        kind: event.kind.clone(),
        payload: payload(&event.payload),
    };
    report.events = events.iter().map(event).collect();
    report.output = output.as_ref().map(payload);
    report
}

fn frame(frame: &Frame) -> FrameReport {
    let Frame { function, module, source, .. } = frame.clone();
    FrameReport { function, module, source }
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
        for pattern in &out.absent {
            terminal::say("out", &format!("no file matches {pattern}"));
        }
    }
    for note in &report.notes {
        terminal::say("note", &neutral(note).to_string());
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
