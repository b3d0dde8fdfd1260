//! `skep fleet`: the files of a fleet.

mod certificates;
mod server_file;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use clap::{Args, Subcommand};
use nkeys::KeyPair;
use skep_protocol::{HostId, RuntimeId};
use skep_registry::Secret;

use crate::failure::Failed;
use crate::fleet_file::{ApiFile, FleetServers, OperatorFile, RuntimeAccess, RuntimeFile};
use crate::output::OutputFormat;
use crate::report::FleetReport;
use crate::{ambient, json, terminal};
use certificates::Authority;
use server_file::{MemberKeys, ServerAddress, server_file};

/// Set up runtimes that dial out to NATS servers, and the hosts that find them there
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep fleet init fleet --runtime alpha --runtime beta      three servers on this machine
  skep fleet init fleet --server a.example:4222 --server b.example:4222 --server c.example:4222

Then: (cd fleet && nats-server -c server-1.conf)   skep runtime --fleet fleet/runtime-alpha.toml
      skep up --fleet fleet/api.toml")]
pub(crate) struct FleetArgs {
    #[command(subcommand)]
    command: FleetCommand,
}

#[derive(Subcommand)]
enum FleetCommand {
    Init(FleetInitArgs),
}

/// Write the files of a new fleet: servers, runtimes, hosts, keys and certificates
#[derive(Args)]
struct FleetInitArgs {
    /// New directory for the files
    dir: PathBuf,

    /// Number of servers on this machine. Three keep what they store while one is down
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    servers: u8,

    /// Address of a server on another machine. Repeat for each, in place of --servers
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "servers")]
    server: Vec<ServerAddress>,

    /// Port of the first server on this machine; the others follow. Servers talk to each other 2000
    /// ports above
    #[arg(long, value_name = "PORT", default_value_t = 4222)]
    port: u16,

    /// Id of a runtime. Repeat for each
    #[arg(long, value_name = "RUNTIME_ID", default_value = "runtime-1")]
    runtime: Vec<RuntimeId>,

    /// Pool of the runtimes
    #[arg(long, value_name = "NAME", default_value = "default")]
    pool: String,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn fleet(arguments: &FleetArgs) -> u8 {
    let FleetCommand::Init(arguments) = &arguments.command;
    let written = init(arguments).and_then(|report| show(&report, arguments.output));
    match written {
        Ok(()) => 0,
        Err(failed) => failed.show(arguments.output),
    }
}

fn init(arguments: &FleetInitArgs) -> Result<FleetReport, Failed> {
    let pool = crate::fleet_file::pool(&arguments.pool)?;
    let addresses = match arguments.server.is_empty() {
        false => arguments.server.clone(),
        true => ServerAddress::on_this_machine(arguments.port, arguments.servers)
            .ok_or_else(|| Failed::refused("there are not as many ports above --port"))?,
    };
    let dir = &arguments.dir;
    let folder = ambient::new_private_dir(dir).map_err(|error| {
        Failed::here(format!("cannot make the directory {}: {error}", dir.display()))
            .hint("name a directory that is not there yet; files of a fleet are not replaced")
    })?;
    let authority = Authority::new()?;
    write(&folder, "ca.pem", &authority.pem())?;
    let [operator, api, hosts] = [(); 3].map(|()| KeyPair::new_user());
    let runtimes = keys(&arguments.runtime)?;
    let servers = addresses.iter().map(|address| format!("tls://{address}")).collect();
    let member = |key: &KeyPair| -> Result<FleetServers, Failed> {
        let key = key.seed().map_err(|error| Failed::internal(error.to_string()))?;
        let servers: Vec<String> = Clone::clone(&servers);
        Ok(FleetServers { servers, ca: Some("ca.pem".into()), key })
    };
    let mut report = FleetReport {
        servers: Vec::new(),
        runtimes: BTreeMap::new(),
        api: dir.join("api.toml"),
        operator: dir.join("operator.toml"),
    };
    let replicas = if addresses.len() < 3 { 1 } else { 3 };
    let operator_file = OperatorFile { servers: member(&operator)?, is_operator: true, replicas };
    write(&folder, "operator.toml", &operator_file.to_toml()?)?;
    let mut api_file = ApiFile {
        servers: member(&api)?,
        hosts_key: hosts.seed().map_err(|error| Failed::internal(error.to_string()))?,
        fleet: ambient::new_id::<HostId>("fleet")?.to_string(),
        replicas,
        runtimes: BTreeMap::new(),
    };
    for (id, key) in &runtimes {
        let token = Secret::new_token()?.expose().to_owned();
        let access = RuntimeAccess { pool: pool.as_str().to_owned(), token: token.clone() };
        api_file.runtimes.insert(id.clone(), access);
        let file = RuntimeFile {
            servers: member(key)?,
            pool: pool.as_str().to_owned(),
            runtime_id: id.clone(),
            token,
        };
        let name = format!("runtime-{id}.toml");
        write(&folder, &name, &file.to_toml()?)?;
        report.runtimes.insert(id.clone(), dir.join(name));
    }
    write(&folder, "api.toml", &api_file.to_toml()?)?;
    let members = MemberKeys {
        operator: operator.public_key(),
        api: api.public_key(),
        hosts: hosts.public_key(),
        runtimes: runtimes.iter().map(|(id, key)| (id.clone(), key.public_key())).collect(),
        pool,
    };
    let secret = Secret::new_token()?.expose().to_owned();
    for (at, address) in addresses.iter().enumerate() {
        let number = at + 1;
        let certificate = authority.sign(address.host())?;
        write(&folder, &format!("server-{number}.pem"), &certificate.chain)?;
        write(&folder, &format!("server-{number}.key"), &certificate.key)?;
        let name = format!("server-{number}.conf");
        write(&folder, &name, &server_file(number, &addresses, &members, &secret))?;
        report.servers.push(dir.join(name));
    }
    Ok(report)
}

fn keys(ids: &[RuntimeId]) -> Result<BTreeMap<RuntimeId, KeyPair>, Failed> {
    let mut keys = BTreeMap::new();
    for id in ids {
        if keys.insert(id.clone(), KeyPair::new_user()).is_some() {
            return Err(Failed::refused(format!("the runtime {id} is named twice")));
        }
    }
    Ok(keys)
}

/// Writes a new file that only this user can read.
fn write(folder: &Dir, name: &str, text: &str) -> Result<(), Failed> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = folder
        .open_with(name, &options)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| Failed::here(format!("cannot write {name}: {error}")))
}

fn show(report: &FleetReport, output: OutputFormat) -> Result<(), Failed> {
    let shown = match output {
        OutputFormat::Json => json::line(report),
        OutputFormat::Text => {
            let mut text = String::new();
            for server in &report.servers {
                let (dir, name) = (report.api.parent(), server.file_name());
                let dir = dir.unwrap_or(Path::new(".")).display();
                let name = name.unwrap_or_default().display();
                text += &format!("(cd {dir} && nats-server -c {name})\n");
            }
            for runtime in report.runtimes.values() {
                text += &format!("skep runtime --fleet {}\n", runtime.display());
            }
            text += &format!("skep up --fleet {}\n", report.api.display());
            text += &format!("skep doctor --fleet {}\n", report.operator.display());
            text.into_bytes()
        }
    };
    Ok(terminal::print(&shown)?)
}
