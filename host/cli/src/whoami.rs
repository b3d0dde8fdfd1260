//! `skep whoami`: the caller as a host sees it, and what it may grant to workers.

use clap::Args;
use skep_protocol::{Grantable, Me, TokenId};

use crate::connect::{ConnectArgs, talk};
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::WhoamiReport;
use crate::table::Table;
use crate::{json, terminal};

/// Show your role on a host, and what you may grant to workers
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep whoami
  skep whoami --host https://skep.example.com --token-file token --output json")]
pub(crate) struct WhoamiArgs {
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn whoami(arguments: &WhoamiArgs) -> u8 {
    talk(arguments.connect.output, show(&arguments.connect))
}

async fn show(connect: &ConnectArgs) -> Result<u8, Failed> {
    let host = connect.connect()?.host()?;
    let (me, grants) = (host.me().await?, host.grantable().await?);
    match connect.output {
        OutputFormat::Json => terminal::print(&json::line(&WhoamiReport { me, grants }))?,
        OutputFormat::Text => terminal::print(table(&me, &grants).text().as_bytes())?,
    }
    Ok(0)
}

fn table(me: &Me, grants: &Grantable) -> Table {
    let mut table = Table::new(&["ROLE", me.role.as_str()]);
    table.row([&"token", &me.token_id.as_ref().map_or("none: local operator", TokenId::as_str)]);
    let runtimes = me.runtimes.as_deref().map(|some| words(some.iter().map(ToString::to_string)));
    table.row([&"runtimes", &runtimes.unwrap_or_else(|| "all".into())]);
    let scopes = grants
        .scopes
        .as_deref()
        .map(|some| words(some.iter().map(|scope| format!("{} ({})", scope.name, scope.rights))));
    table.row([&"may grant scopes", &scopes.unwrap_or_else(|| "all".into())]);
    let http = grants.http.as_deref().map(|some| words(some.iter().map(ToString::to_string)));
    table.row([&"may grant HTTP", &http.unwrap_or_else(|| "any".into())]);
    let secrets = grants.secrets.as_deref().map(|some| words(some.iter().map(ToString::to_string)));
    table.row([&"may grant secrets", &secrets.unwrap_or_else(|| "all".into())]);
    table
}

/// Joins words, or says that there are none.
fn words(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}
