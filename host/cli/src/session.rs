//! `skep session`: the logged-in browsers of a host.

use clap::{Args, Subcommand};
use skep_protocol::{SessionId, TokenId};

use crate::connect::{ConnectArgs, talk};
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::table::Table;
use crate::{json, terminal};

/// List and end the sessions of browsers
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep session list
  skep session end 3f9c2a71d0")]
pub(crate) struct SessionArgs {
    #[command(subcommand)]
    command: SessionCommand,
}

#[derive(Subcommand)]
enum SessionCommand {
    /// List sessions: all for an admin, those of the own token for others
    List {
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// End a session at once; its browser must log in again
    End {
        /// Id of the session, as `skep session list` shows it
        session: SessionId,

        #[command(flatten)]
        connect: ConnectArgs,
    },
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn session(arguments: &SessionArgs) -> u8 {
    match &arguments.command {
        SessionCommand::List { connect } => talk(connect.output, list(connect)),
        SessionCommand::End { session, connect } => talk(connect.output, end(session, connect)),
    }
}

async fn list(connect: &ConnectArgs) -> Result<u8, Failed> {
    let items = connect.connect()?.host()?.sessions().await?.items;
    match connect.output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["SESSION", "TOKEN", "ROLE", "CREATED", "EXPIRES"]);
            for item in &items {
                table.row([
                    &item.session_id,
                    &item.token_id.as_ref().map_or("login link", TokenId::as_str),
                    &item.role.as_str(),
                    &item.created_at,
                    &item.expires_at,
                ]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}

async fn end(session: &SessionId, connect: &ConnectArgs) -> Result<u8, Failed> {
    connect.connect()?.host()?.end_session(session).await?;
    match connect.output {
        OutputFormat::Json => terminal::print(b"{}\n")?,
        OutputFormat::Text => terminal::say("ended", session.as_str()),
    }
    Ok(0)
}
