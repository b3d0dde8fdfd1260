//! `skep doctor`: checks of this machine and its store, or of a fleet, with the next step for each
//! problem. It changes nothing, but for a mark in the log of a fleet's hosts if it is given their file.

mod check;
mod fleet;
mod machine;
mod secrets;
mod store;

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::{CheckReport, DoctorReport};
use crate::settings::{LocationArgs, Settings};
use crate::table::Table;
use crate::{json, terminal};
use check::{Check, CheckStatus};

/// Check that this machine and its store, or the servers of a fleet, have what a host needs
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep doctor
  skep doctor --store /srv/skep
  skep doctor --fleet fleet/operator.toml     the servers, and what they store
  skep doctor --fleet fleet/api.toml          the servers, and this member's rights there
  skep doctor --output json | jq '.checks[] | select(.status != \"ok\")'

A host may be running on the store: the checks read it without opening it.

Exit codes: 0 no check failed, though some may be degraded   1 a check failed   125 bad usage")]
pub(crate) struct DoctorArgs {
    /// Check the servers of a fleet instead, with the file of the operator or of a member
    #[arg(long, value_name = "FILE")]
    fleet: Option<PathBuf>,

    #[command(flatten)]
    location: LocationArgs,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

/// The exit code if a check failed.
const CHECK_FAILED: u8 = 1;

/// Runs the subcommand and returns the exit code.
pub(crate) fn doctor(arguments: &DoctorArgs) -> u8 {
    let checks = match &arguments.fleet {
        Some(file) => fleet::checks(file),
        None => own_checks(&arguments.location),
    };
    let checks = match checks {
        Ok(checks) => checks,
        Err(failed) => return failed.show(arguments.output),
    };
    let status = checks.iter().map(|check| check.status).max().unwrap_or(CheckStatus::Ok);
    let shown = match arguments.output {
        OutputFormat::Text => text(&checks).into_bytes(),
        OutputFormat::Json => json::line(&report(status, checks)),
    };
    let code = if status == CheckStatus::Failed { CHECK_FAILED } else { 0 };
    terminal::conclude(terminal::print(&shown), code)
}

/// Checks this machine and its store.
fn own_checks(location: &LocationArgs) -> Result<Vec<Check>, Failed> {
    let settings = Settings::gather(location, None).map_err(Failed::here)?;
    let mut checks = machine::checks(&settings);
    checks.extend(store::checks(&settings));
    checks.extend(secrets::checks(&settings));
    Ok(checks)
}

fn report(status: CheckStatus, checks: Vec<Check>) -> DoctorReport {
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
    fn a_hint_is_printed_below_its_check() {
        let checks =
            [Check::ok("openat2", "there"), Check::failed("disk", "0 bytes free", "make room")];
        let text = text(&checks);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("openat2  ok"), "{text}");
        assert!(lines[2].starts_with("disk     failed"), "{text}");
        assert_eq!(lines[3].trim(), "-> make room");
        assert!(CheckStatus::Failed > CheckStatus::Degraded);
        assert!(CheckStatus::Degraded > CheckStatus::Ok);
    }
}
