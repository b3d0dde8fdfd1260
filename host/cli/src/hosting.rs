//! `skep up` and `skep runtime`: the commands that host workers until Ctrl-C.

mod exposure;
mod host;
mod membership;
mod parts;
mod sites;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use skep_api::Surface;
use skep_protocol::RuntimeId;

use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::settings::{LocationArgs, Settings};
use crate::{ambient, host_threads};
pub(crate) use host::{HostReach, ServingHost};
pub(crate) use parts::NativeCode;

/// Host workers in this process, with a registry and the browser API, until Ctrl-C
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep up                                        on 127.0.0.1:7070, store in your data directory
  skep up --listen 127.0.0.1:0 --store ./store   on any free port, with a store of its own
  skep up --output json                          print one line of JSON when ready
  skep up --fleet fleet/api.toml                 with the runtimes of a fleet, see `skep fleet`

Then: skep worker create counter.wasm   skep worker list   skep worker logs -f WORKER")]
pub(crate) struct UpArgs {
    #[command(flatten)]
    serve: HostingArgs,
}

/// Host a bare runtime for the registries of other machines, until Ctrl-C
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep token create --role admin --store ./store   create the token that a registry needs
  skep runtime --listen 127.0.0.1:7071 --store ./store
  skep runtime --fleet fleet/runtime-alpha.toml --store ./alpha   in a fleet, without a port

On the registry's machine: skep remote add RUNTIME_ID URL --token-file FILE")]
pub(crate) struct RuntimeArgs {
    #[command(flatten)]
    serve: HostingArgs,
}

#[derive(Args)]
struct HostingArgs {
    /// Address to listen on; port 0 picks a free one [env: SKEP_LISTEN] [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// Id of the runtime in a new store; an existing store keeps its id [default: rt- and digits]
    #[arg(long, value_name = "RUNTIME_ID")]
    id: Option<RuntimeId>,

    /// File of this member of a fleet, which `skep fleet init` writes
    #[arg(long, value_name = "FILE")]
    fleet: Option<PathBuf>,

    #[command(flatten)]
    location: LocationArgs,

    /// Format of the message that announces the host
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

/// Runs `skep up` and returns the exit code.
pub(crate) fn up(arguments: &UpArgs) -> u8 {
    serve(&arguments.serve, Surface::Browser)
}

/// Runs `skep runtime` and returns the exit code.
pub(crate) fn runtime(arguments: &RuntimeArgs) -> u8 {
    serve(&arguments.serve, Surface::Runtime)
}

fn serve(arguments: &HostingArgs, surface: Surface) -> u8 {
    let served = || -> Result<(), Failed> {
        let settings = Settings::gather(&arguments.location, arguments.listen.as_deref())?;
        ambient::raise_descriptors();
        let threads = host_threads::start()?;
        let served = threads.block_on(async {
            let fleet = arguments.fleet.as_deref();
            // A runtime in a fleet is reached there; it has a port only if one is asked for.
            let has_port =
                fleet.is_none() || surface == Surface::Browser || arguments.listen.is_some();
            let reach = HostReach { fleet, has_port };
            let host = ServingHost::start(settings, arguments.id.clone(), surface, reach).await?;
            host.announce(arguments.output)?;
            host.run().await
        });
        threads.shutdown_timeout(Duration::from_millis(100));
        served
    };
    match served() {
        Ok(()) => 0,
        Err(failed) => failed.show(arguments.output),
    }
}
