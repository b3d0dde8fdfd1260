//! `skep audit`: the changes that callers made to a host.

use clap::Args;
use skep_protocol::text::neutral;
use skep_protocol::{AuditEntry, ListAudit, Timestamp, TokenId, WorkerId};

use crate::clock::past;
use crate::connect::{ConnectArgs, talk};
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::table::Table;
use crate::{json, terminal};

/// List audited changes, newest first. For admins
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep audit --last 20
  skep audit --action worker.remove --since 24h
  skep audit --actor local --outcome ok --output json | jq '.items[].action'")]
pub(crate) struct AuditArgs {
    /// Number of changes, from the newest
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    last: u32,

    /// Only changes by this token, or by `local`, the operator on the host's machine
    #[arg(long, value_name = "TOKEN_ID")]
    actor: Option<TokenId>,

    /// Only changes of this kind, such as worker.create, token.revoke or login
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,

    /// Only changes of this worker
    #[arg(long, value_name = "WORKER_ID")]
    worker: Option<WorkerId>,

    /// Only changes with this outcome: ok, or the code of an error
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,

    /// Only changes since this time: 2026-11-21T08:02:00Z, or 24h for the last day
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Option<Timestamp>,

    /// Only changes until this time
    #[arg(long, value_name = "TIME", value_parser = past)]
    until: Option<Timestamp>,

    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn audit(arguments: &AuditArgs) -> u8 {
    talk(arguments.connect.output, list(arguments))
}

async fn list(arguments: &AuditArgs) -> Result<u8, Failed> {
    let host = arguments.connect.connect()?.host()?;
    let wanted = arguments.last as usize;
    let mut query = ListAudit {
        cursor: None,
        actor: arguments.actor.clone(),
        action: arguments.action.clone(),
        runtime_id: arguments.connect.runtime().cloned(),
        worker_id: arguments.worker,
        outcome: arguments.outcome.clone(),
        since: arguments.since,
        until: arguments.until,
    };
    let mut items = Vec::new();
    loop {
        let page = host.audit(&query).await?;
        items.extend(page.items);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() || items.len() >= wanted {
            break;
        }
    }
    items.truncate(wanted);
    match arguments.connect.output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["AT", "BY", "ACTION", "OUTCOME", "SUBJECT"]);
            for entry in &items {
                let by = entry.token_id.as_ref().map_or(ListAudit::LOCAL, TokenId::as_str);
                table.row([&entry.at, &by, &entry.action, &entry.outcome, &subject(entry)]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}

/// Names what was changed.
fn subject(entry: &AuditEntry) -> String {
    let states = [&entry.after, &entry.before];
    let token = states.iter().find_map(|state| state.as_ref()?.token.as_ref());
    let session = states.iter().find_map(|state| state.as_ref()?.session_id.as_ref());
    let route = states.iter().find_map(|state| state.as_ref()?.route.as_ref());
    let step = states.iter().find_map(|state| state.as_ref()?.step.as_ref());
    if let (Some(runtime), Some(step)) = (&entry.runtime_id, step) {
        return format!("{runtime}/{} {}", step.run, neutral(&step.id));
    }
    if let Some(route) = route {
        return format!("route {}", route.prefix);
    }
    match (&entry.runtime_id, entry.worker_id, token, session) {
        (Some(runtime), Some(worker), ..) => format!("{runtime}/{worker}"),
        (Some(runtime), None, ..) => runtime.to_string(),
        (None, _, Some(token), _) => format!("token {}", token.token_id),
        (None, _, None, Some(session)) => format!("session {session}"),
        (None, ..) => "-".into(),
    }
}
