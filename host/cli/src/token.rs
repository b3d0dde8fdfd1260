//! `skep token`: who may talk to a host. Works on the store, whether a host runs on it or not.

use clap::{Args, Subcommand, ValueEnum};
use skep_protocol::{Role, RuntimeId, Timestamp, TokenId, TokenView};
use skep_registry::{NewToken, Registrar};

use crate::failure::Failed;
use crate::report::{ItemsReport, TokenReport};
use crate::serve::now;
use crate::settings::{PlaceArgs, Settings};
use crate::table::Table;
use crate::{OutputFormat, ambient, json, quantity, terminal};

/// Makes, lists and revokes access tokens.
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep token create --role admin
  skep token create --role operator --runtime rt-0a1b2c --expires 24h --output json
  skep token revoke 3f9c2a71d0")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Makes a token and shows it, once
    Create {
        /// viewer reads; operator works with workers; admin does everything
        #[arg(long, value_enum, value_name = "ROLE")]
        role: RoleArg,

        /// Only on this runtime. Repeat for more [default: on all]
        #[arg(long, value_name = "RUNTIME_ID")]
        runtime: Vec<RuntimeId>,

        /// Not valid after this time (24h, 90m) [default: until revoked]
        #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
        expires: Option<std::time::Duration>,

        #[command(flatten)]
        place: PlaceArgs,

        /// How the result is shown
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Lists tokens; what they are is not kept
    List {
        #[command(flatten)]
        place: PlaceArgs,

        /// How the result is shown
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Makes a token invalid at once
    Revoke {
        /// Its id, as `skep token list` shows it
        token: TokenId,

        #[command(flatten)]
        place: PlaceArgs,

        /// How the result is shown
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

/// Runs the command and returns the exit code.
pub(crate) fn token(arguments: TokenArgs) -> u8 {
    let (output, done) = match arguments.verb {
        Verb::Create { role, runtime, expires, place, output } => {
            (output, create(role.into(), runtime, expires, &place, output))
        }
        Verb::List { place, output } => (output, list(&place, output)),
        Verb::Revoke { token, place, output } => (output, revoke(&token, &place, output)),
    };
    match done {
        Ok(()) => 0,
        Err(failed) => failed.show(output),
    }
}

/// The registry's file in the operator's store.
pub(crate) fn registrar(place: &PlaceArgs) -> Result<Registrar, Failed> {
    let settings = Settings::gather(place, None)?;
    let dir = ambient::private_store(&settings.store).map_err(|error| {
        Failed::here(format!("cannot use the store {}: {error}", settings.store.display()))
    })?;
    Registrar::open(dir).map_err(|error| {
        Failed::here(format!("cannot use the store {}: {error}", settings.store.display()))
    })
}

fn create(
    role: Role,
    runtimes: Vec<RuntimeId>,
    expires: Option<std::time::Duration>,
    place: &PlaceArgs,
    output: OutputFormat,
) -> Result<(), Failed> {
    let after = |time: std::time::Duration| {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Timestamp(now().as_millis().saturating_add(millis))
    };
    let wanted = NewToken {
        role,
        runtimes: Some(runtimes).filter(|runtimes| !runtimes.is_empty()),
        expires_at: expires.map(after),
    };
    let registrar = registrar(place)?;
    let access = registrar.access();
    let (secret, view) = access.create_token(wanted)?;
    let token_id = view.token_id.clone();
    let shown = match output {
        OutputFormat::Json => {
            let report = TokenReport { token: secret.expose().to_owned(), view };
            terminal::print(&json::line(&report))
        }
        // Nothing but the token on standard output, so that it can be redirected to a file.
        OutputFormat::Text => terminal::print(format!("{}\n", secret.expose()).as_bytes()),
    };
    if let Err(lost) = shown {
        access.revoke(&token_id)?;
        return Err(Failed::here(format!("{lost}: the token was revoked, for nothing shows it")));
    }
    if output == OutputFormat::Text {
        terminal::say("note", "it is shown this once; keep it in a file only you can read");
    }
    Ok(())
}

fn list(place: &PlaceArgs, output: OutputFormat) -> Result<(), Failed> {
    let tokens = registrar(place)?.access().tokens()?;
    match output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items: tokens }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["TOKEN", "ROLE", "RUNTIMES", "CREATED", "STATE"]);
            for token in &tokens {
                let runtimes = match &token.runtimes {
                    None => "all".to_owned(),
                    Some(some) => some.iter().map(RuntimeId::as_str).collect::<Vec<_>>().join(","),
                };
                table.row([
                    &token.token_id,
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

fn revoke(token: &TokenId, place: &PlaceArgs, output: OutputFormat) -> Result<(), Failed> {
    let view = registrar(place)?.access().revoke(token)?;
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
