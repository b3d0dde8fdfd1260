//! `skep doctor`: whether this machine and this store have what a host needs, and what to do where
//! they have not. Looks, measures and tries; changes nothing.

mod machine;
mod secrets;
mod store;

use clap::Args;

use crate::report::{CheckReport, DoctorReport};
use crate::settings::{PlaceArgs, Settings};
use crate::table::Table;
use crate::{OutputFormat, json, terminal};

/// Checks this machine and the store: what the sandbox stands on, and what it runs without.
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep doctor
  skep doctor --store /srv/skep
  skep doctor --output json | jq '.checks[] | select(.status != \"ok\")'

A store is looked at without being opened, so a host may run on it.

Exit codes: 0 nothing has failed, though it may be degraded   1 something has   125 bad usage")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    place: PlaceArgs,

    /// How the result is shown
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

/// How a check came out, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Ok,
    /// It works, and not as well or as safely as it could.
    Degraded,
    /// It does not work, or is not safe.
    Failed,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    name: &'static str,
    status: Status,
    found: String,
    hint: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), hint: None }
    }

    fn degraded(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into());
        Self { name, status: Status::Degraded, found: found.into(), hint }
    }

    fn failed(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into());
        Self { name, status: Status::Failed, found: found.into(), hint }
    }
}

/// The exit code where something has failed.
const SOMETHING_FAILED: u8 = 1;

/// Runs the command and returns the exit code.
pub(crate) fn doctor(arguments: &DoctorArgs) -> u8 {
    let settings = match Settings::gather(&arguments.place, None) {
        Ok(settings) => settings,
        Err(message) => return crate::failure::Failed::here(message).show(arguments.output),
    };
    let mut checks = machine::checks(&settings);
    checks.extend(store::checks(&settings));
    checks.extend(secrets::checks(&settings));
    let status = checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
    let shown = match arguments.output {
        OutputFormat::Text => text(&checks).into_bytes(),
        OutputFormat::Json => json::line(&report(status, checks)),
    };
    let code = if status == Status::Failed { SOMETHING_FAILED } else { 0 };
    terminal::conclude(terminal::print(&shown), code)
}

fn report(status: Status, checks: Vec<Check>) -> DoctorReport {
    let check = |Check { name, status, found, hint }| CheckReport {
        name,
        status: status.as_str(),
        found,
        hint,
    };
    DoctorReport { status: status.as_str(), checks: checks.into_iter().map(check).collect() }
}

fn text(checks: &[Check]) -> String {
    let mut table = Table::new(&["CHECK", "STATUS", "FOUND"]);
    for check in checks {
        table.row([&check.name, &check.status.as_str(), &check.found]);
        if let Some(hint) = &check.hint {
            table.row([&"", &"", &format!("-> {hint}")]);
        }
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_below_what_is_wrong() {
        let checks =
            [Check::ok("openat2", "there"), Check::failed("disk", "0 bytes free", "make room")];
        let text = text(&checks);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("openat2  ok"), "{text}");
        assert!(lines[2].starts_with("disk     failed"), "{text}");
        assert_eq!(lines[3].trim(), "-> make room");
        assert!(Status::Failed > Status::Degraded && Status::Degraded > Status::Ok);
    }
}
