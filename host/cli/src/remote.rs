//! `skep remote`: which runtimes of other machines the registry of this one routes to.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use skep_protocol::RuntimeId;
use skep_registry::{Network, RemoteSpec};

use crate::failure::Failed;
use crate::report::{ItemsReport, RemoteReport};
use crate::settings::{PlaceArgs, RemoteSetting};
use crate::table::Table;
use crate::token::registrar;
use crate::{OutputFormat, json, terminal};

/// Adds, lists and removes remote runtimes. A running host takes notice by itself.
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep remote add rt-0a1b2c https://attic.example:7071 --token-file attic.token
  skep remote add rt-0a1b2c http://127.0.0.1:7071 --token-file attic.token
  skep remote list")]
pub(crate) struct RemoteArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Adds a runtime, or changes where it is
    Add {
        /// Its id, which it has to answer with: `skep runtime` shows it when it starts
        runtime: RuntimeId,

        /// Where it is: https://…, or http://… on this machine
        url: String,

        /// The file with the token that it lets us in with
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,

        /// The certificate of the authority that signed its certificate, in PEM
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,

        /// What people call it [default: its id]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,

        /// Talk to it without TLS though it is on another machine
        #[arg(long)]
        insecure: bool,

        #[command(flatten)]
        place: PlaceArgs,

        /// How the result is shown
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Lists them
    List {
        #[command(flatten)]
        place: PlaceArgs,

        /// How the result is shown
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Removes one; nothing happens to its workers
    Rm {
        /// Its id
        runtime: RuntimeId,

        #[command(flatten)]
        place: PlaceArgs,

        /// How the result is shown
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
}

/// Runs the command and returns the exit code.
pub(crate) fn remote(arguments: RemoteArgs) -> u8 {
    let (output, done) = match arguments.verb {
        Verb::Add { runtime, url, token_file, ca_file, name, insecure, place, output } => {
            let setting = RemoteSetting {
                runtime_id: runtime,
                url,
                token_file,
                ca_file,
                insecure,
                display_name: name,
            };
            (output, add(&setting, &place, output))
        }
        Verb::List { place, output } => (output, list(&place, output)),
        Verb::Rm { runtime, place, output } => (output, remove(&runtime, &place, output)),
    };
    match done {
        Ok(()) => 0,
        Err(failed) => failed.show(output),
    }
}

fn add(setting: &RemoteSetting, place: &PlaceArgs, output: OutputFormat) -> Result<(), Failed> {
    let spec = spec(setting)?;
    let report = report(&spec);
    registrar(place)?.remotes().add(&spec)?;
    match output {
        OutputFormat::Json => terminal::print(&json::line(&report))?,
        OutputFormat::Text => {
            terminal::say("added", &format!("{}; a running host takes notice", report.runtime_id));
        }
    }
    Ok(())
}

fn list(place: &PlaceArgs, output: OutputFormat) -> Result<(), Failed> {
    let remotes = registrar(place)?.remotes().list()?;
    let items: Vec<_> = remotes.iter().map(report).collect();
    match output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["RUNTIME", "URL", "TOKEN FILE"]);
            for remote in &items {
                let file = remote.token_file.as_deref().unwrap_or(Path::new("none")).display();
                table.row([&remote.runtime_id, &remote.url, &file]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(())
}

fn remove(runtime: &RuntimeId, place: &PlaceArgs, output: OutputFormat) -> Result<(), Failed> {
    registrar(place)?.remotes().remove(runtime)?;
    match output {
        OutputFormat::Json => terminal::print(b"{}\n")?,
        OutputFormat::Text => terminal::say("removed", &format!("{runtime}")),
    }
    Ok(())
}

/// The remotes of `skep.toml`.
pub(crate) fn of_settings(settings: &[RemoteSetting]) -> Result<Vec<RemoteSpec>, Failed> {
    settings.iter().map(spec).collect()
}

fn spec(setting: &RemoteSetting) -> Result<RemoteSpec, Failed> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failed::here(format!("the remote {}: {error}", setting.runtime_id))
    };
    let whole = |path: &Option<PathBuf>| {
        // A host that runs elsewhere has to find it as well.
        path.as_ref().map(std::path::absolute).transpose()
    };
    let display_name = match &setting.display_name {
        None => None,
        Some(name) => Some(name.parse().map_err(|error| cannot(&error))?),
    };
    let spec = RemoteSpec {
        runtime_id: setting.runtime_id.clone(),
        endpoint: setting.url.clone(),
        token_file: whole(&setting.token_file)?,
        ca_file: whole(&setting.ca_file)?,
        insecure: setting.insecure,
        display_name,
    };
    // Whoever made a mistake is told now, and not by the log of a host.
    Network::client(&spec).map_err(|error| cannot(&error))?;
    Ok(spec)
}

fn report(spec: &RemoteSpec) -> RemoteReport {
    RemoteReport {
        runtime_id: spec.runtime_id.clone(),
        url: spec.endpoint.clone(),
        token_file: spec.token_file.clone(),
        ca_file: spec.ca_file.clone(),
        insecure: spec.insecure,
    }
}
