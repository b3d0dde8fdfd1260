//! The end of a run, shown: as one JSON object, or as lines for a person.

use skep_protocol::text::neutral;

use super::explain::{self, Explained};
use crate::report::{ErrorReport, FileReport, FrameReport, RunReport, SkippedReport, TrapReport};
use crate::{OutputFormat, json, terminal};

/// Shows the result and returns the exit code.
pub(super) fn conclude(format: OutputFormat, mut report: RunReport, explained: Explained) -> u8 {
    report.status = explained.status;
    report.exit_code = explained.exit_code;
    report.guest_exit_code = explained.guest_exit_code;
    report.limit = explained.limit;
    if format == OutputFormat::Json {
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
        terminal::print(&json::line(&report));
        return explained.exit_code;
    }
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
        for (depth, frame) in crash.frames.iter().enumerate() {
            let source = match &frame.source {
                Some(source) => format!("  ({})", neutral(source)),
                None => String::new(),
            };
            terminal::say(
                &format!("  {depth:>2}"),
                &format!("{}{source}", neutral(&frame.function)),
            );
        }
    }
    if let Some(hint) = explained.hint {
        terminal::say("hint", &hint);
    }
    explained.exit_code
}
