//! `skep token`: access tokens. Works on the store, whether or not a host runs on it; if its host belongs
//! to a fleet, on the fleet's tokens.

mod keeper;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use skep_protocol::{
    CreateToken, Role, RuntimeId, Timestamp, TokenId, TokenName, TokenView, quantity,
};

use crate::clock::now;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::settings::LocationArgs;
use crate::table::Table;
use crate::{json, terminal};
use keeper::TokenKeeper;

/// Create, list and revoke access tokens
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep token create --role admin --name laptop
  skep token create --role operator --runtime rt-0a1b2c --expires 24h --output json
  skep token revoke 3f9c2a71d0")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Create a token and show it once
    Create {
        /// Role: viewer may read, operator may also manage workers, admin may do everything
        #[arg(long, value_enum, value_name = "ROLE")]
        role: RoleArg,

        /// Name by which people recognise the token, such as `laptop`
        #[arg(long, value_name = "NAME")]
        name: Option<TokenName>,

        /// Runtime that the token is valid for. Repeat for more [default: all]
        #[arg(long, value_name = "RUNTIME_ID")]
        runtime: Vec<RuntimeId>,

        /// Time until the token expires (24h, 90m) [default: never]
        #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
        expires: Option<Duration>,

        #[command(flatten)]
        location: LocationArgs,

        /// Format of the result
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// List tokens, without their secrets, which are not stored
    List {
        #[command(flatten)]
        location: LocationArgs,

        /// Format of the result
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Revoke a token at once
    Revoke {
        /// Id of the token, as `skep token list` shows it
        token: TokenId,

        #[command(flatten)]
        location: LocationArgs,

        /// Format of the result
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleArg {
    Viewer,
    Operator,
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Admin => Self::Admin,
        }
    }
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn token(arguments: TokenArgs) -> u8 {
    let (output, done) = match arguments.command {
        TokenCommand::Create { role, name, runtime, expires, location, output } => {
            (output, create(role.into(), name, runtime, expires, &location, output))
        }
        TokenCommand::List { location, output } => (output, list(&location, output)),
        TokenCommand::Revoke { token, location, output } => {
            (output, revoke(&token, &location, output))
        }
    };
    match done {
        Ok(()) => 0,
        Err(failed) => failed.show(output),
    }
}

fn create(
    role: Role,
    name: Option<TokenName>,
    runtimes: Vec<RuntimeId>,
    expires: Option<Duration>,
    location: &LocationArgs,
    output: OutputFormat,
) -> Result<(), Failed> {
    let after = |time: Duration| {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Timestamp(now().as_millis().saturating_add(millis))
    };
    let wanted = CreateToken {
        role,
        name,
        runtimes: Some(runtimes).filter(|runtimes| !runtimes.is_empty()),
        expires_at: expires.map(after),
    };
    let keeper = TokenKeeper::find(location)?;
    let created = keeper.create(wanted)?;
    let shown = match output {
        OutputFormat::Json => terminal::print(&json::line(&created)),
        // Standard output has only the token, so that it can be redirected to a file.
        OutputFormat::Text => terminal::print(format!("{}\n", created.token).as_bytes()),
    };
    if let Err(lost) = shown {
        keeper.revoke(&created.view.token_id)?;
        return Err(Failed::here(format!(
            "{lost}; the token was revoked because it was not shown"
        )));
    }
    if output == OutputFormat::Text {
        terminal::say(
            "note",
            "the token is shown only once; keep it in a file that only you can read",
        );
    }
    Ok(())
}

fn list(location: &LocationArgs, output: OutputFormat) -> Result<(), Failed> {
    let tokens = TokenKeeper::find(location)?.list()?;
    match output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items: tokens }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["TOKEN", "NAME", "ROLE", "RUNTIMES", "CREATED", "STATE"]);
            for token in &tokens {
                let runtimes = match &token.runtimes {
                    None => "all".to_owned(),
                    Some(some) => some.iter().map(RuntimeId::as_str).collect::<Vec<_>>().join(","),
                };
                let name = token.name.as_ref().map_or("-", TokenName::as_str);
                table.row([
                    &token.token_id,
                    &name,
                    &token.role.as_str(),
                    &runtimes,
                    &token.created_at,
                    &state(token),
                ]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(())
}

fn revoke(token: &TokenId, location: &LocationArgs, output: OutputFormat) -> Result<(), Failed> {
    let view = TokenKeeper::find(location)?.revoke(token)?;
    match output {
        OutputFormat::Json => terminal::print(&json::line(&view))?,
        OutputFormat::Text => terminal::say("revoked", &format!("{token}")),
    }
    Ok(())
}

fn state(token: &TokenView) -> String {
    match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at <= now() => format!("expired {at}"),
        (None, Some(at)) => format!("valid until {at}"),
        (None, None) => "valid".into(),
    }
}
