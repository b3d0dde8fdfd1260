//! `skep remote`: the runtimes on other machines that this machine's registry routes to.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use skep_protocol::RuntimeId;
use skep_registry::{Network, RemoteSpec};

use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::{ItemsReport, RemoteReport};
use crate::settings::{LocationArgs, RemoteSetting};
use crate::table::Table;
use crate::{json, registrar, terminal};

/// Add, list and remove remote runtimes. A running host applies the change by itself
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep remote add rt-0a1b2c https://attic.example:7071 --token-file attic.token
  skep remote add rt-0a1b2c http://127.0.0.1:7071 --token-file attic.token
  skep remote list")]
pub(crate) struct RemoteArgs {
    #[command(subcommand)]
    command: RemoteCommand,
}

#[derive(Subcommand)]
enum RemoteCommand {
    /// Add a runtime, or change its URL
    Add {
        /// Id of the runtime, which it must confirm; `skep runtime` prints it when it starts
        runtime: RuntimeId,

        /// URL of the runtime: https://…, or http://… on this machine
        url: String,

        /// File with the access token of the runtime
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,

        /// Certificate of the authority that signed the runtime's certificate, in PEM
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,

        /// Name to show [default: its id]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,

        /// Connect without TLS, even to another machine
        #[arg(long)]
        insecure: bool,

        #[command(flatten)]
        location: LocationArgs,

        /// Format of the result
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// List the remote runtimes
    List {
        #[command(flatten)]
        location: LocationArgs,

        /// Format of the result
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Remove a runtime; its workers are not affected
    Rm {
        /// Id of the runtime
        runtime: RuntimeId,

        #[command(flatten)]
        location: LocationArgs,

        /// Format of the result
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn remote(arguments: RemoteArgs) -> u8 {
    let (output, done) = match arguments.command {
        RemoteCommand::Add {
            runtime,
            url,
            token_file,
            ca_file,
            name,
            insecure,
            location,
            output,
        } => {
            let setting = RemoteSetting {
                runtime_id: runtime,
                url,
                token_file,
                ca_file,
                insecure,
                display_name: name,
            };
            (output, add(&setting, &location, output))
        }
        RemoteCommand::List { location, output } => (output, list(&location, output)),
        RemoteCommand::Rm { runtime, location, output } => {
            (output, remove(&runtime, &location, output))
        }
    };
    match done {
        Ok(()) => 0,
        Err(failed) => failed.show(output),
    }
}

fn add(
    setting: &RemoteSetting,
    location: &LocationArgs,
    output: OutputFormat,
) -> Result<(), Failed> {
    let spec = spec(setting)?;
    let report = report(&spec);
    registrar::open(location)?.remotes().add(&spec)?;
    match output {
        OutputFormat::Json => terminal::print(&json::line(&report))?,
        OutputFormat::Text => {
            terminal::say(
                "added",
                &format!("{}; a running host applies the change", report.runtime_id),
            );
        }
    }
    Ok(())
}

fn list(location: &LocationArgs, output: OutputFormat) -> Result<(), Failed> {
    let remotes = registrar::open(location)?.remotes().list()?;
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

fn remove(
    runtime: &RuntimeId,
    location: &LocationArgs,
    output: OutputFormat,
) -> Result<(), Failed> {
    registrar::open(location)?.remotes().remove(runtime)?;
    match output {
        OutputFormat::Json => terminal::print(b"{}\n")?,
        OutputFormat::Text => terminal::say("removed", &format!("{runtime}")),
    }
    Ok(())
}

/// Returns the remotes of `skep.toml`.
pub(crate) fn of_settings(settings: &[RemoteSetting]) -> Result<Vec<RemoteSpec>, Failed> {
    settings.iter().map(spec).collect()
}

fn spec(setting: &RemoteSetting) -> Result<RemoteSpec, Failed> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failed::here(format!("the remote {}: {error}", setting.runtime_id))
    };
    let absolute = |path: &Option<PathBuf>| {
        // The host may have another working directory.
        path.as_ref().map(std::path::absolute).transpose()
    };
    let display_name = match &setting.display_name {
        None => None,
        Some(name) => Some(name.parse().map_err(|error| cannot(&error))?),
    };
    let spec = RemoteSpec {
        runtime_id: setting.runtime_id.clone(),
        endpoint: setting.url.clone(),
        token_file: absolute(&setting.token_file)?,
        ca_file: absolute(&setting.ca_file)?,
        insecure: setting.insecure,
        display_name,
    };
    // Reports a mistake now rather than in the log of a host.
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
