//! `skep route`: routes to HTTP workers on the sites of a host.

use clap::{Args, Subcommand, ValueEnum};
use skep_protocol::{NewRoute, RouteAuth, RoutePrefix, RouteView, SiteName};

use crate::connect::{ConnectArgs, talk};
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::table::Table;
use crate::{json, terminal};

/// Add, list and remove routes to HTTP workers on the sites of a host. For admins
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep route add shop.example/ WORKER
  skep route add shop.example/cart attic/WORKER --site shop --auth public
  skep route list
  skep route rm shop.example/cart

A site is an [[http]] section of skep.toml: `name` names it, and `public = true` allows public routes.
Of the routes for a host, the one with the longest path wins.")]
pub(crate) struct RouteArgs {
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Subcommand)]
enum RouteCommand {
    /// Add a route. Requests follow it at once
    Add {
        /// HOST/PATH of the requests; the host without a port, `*` for any, or none for the names of
        /// the host's own machine
        #[arg(value_name = "HOST/PATH")]
        prefix: RoutePrefix,

        /// Worker that answers: its id, RUNTIME_ID/ID or name
        worker: String,

        /// Site [default: the host's only one]
        #[arg(long, value_name = "SITE")]
        site: Option<SiteName>,

        /// Right that a request needs: a token of the role operator, or none
        #[arg(long, value_enum, default_value = "token", value_name = "AUTH")]
        auth: AuthArg,

        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// List the routes of skep.toml, then the others
    List {
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Remove a route that `skep route add` has added
    Rm {
        /// HOST/PATH of the route, as `skep route list` shows it
        #[arg(value_name = "HOST/PATH")]
        prefix: RoutePrefix,

        /// Site [default: the host's only one]
        #[arg(long, value_name = "SITE")]
        site: Option<SiteName>,

        #[command(flatten)]
        connect: ConnectArgs,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum AuthArg {
    Token,
    Public,
}

impl From<AuthArg> for RouteAuth {
    fn from(auth: AuthArg) -> Self {
        match auth {
            AuthArg::Token => Self::Token,
            AuthArg::Public => Self::Public,
        }
    }
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn route(arguments: &RouteArgs) -> u8 {
    match &arguments.command {
        RouteCommand::Add { prefix, worker, site, auth, connect } => {
            let new = add(prefix, worker, site.as_ref(), (*auth).into(), connect);
            talk(connect.output, new)
        }
        RouteCommand::List { connect } => talk(connect.output, list(connect)),
        RouteCommand::Rm { prefix, site, connect } => {
            talk(connect.output, remove(prefix, site.as_ref(), connect))
        }
    }
}

async fn add(
    prefix: &RoutePrefix,
    worker: &str,
    site: Option<&SiteName>,
    auth: RouteAuth,
    connect: &ConnectArgs,
) -> Result<u8, Failed> {
    let connection = connect.connect()?;
    let (runtime, worker_id) = connection.worker(worker).await?;
    let new = NewRoute {
        site: site.cloned(),
        prefix: prefix.clone(),
        runtime_id: runtime.runtime_id().cloned(),
        worker_id,
        auth,
    };
    let added = connection.host()?.add_route(&new).await?;
    match connect.output {
        OutputFormat::Json => terminal::print(&json::line(&added))?,
        OutputFormat::Text => terminal::print(table(&[added]).text().as_bytes())?,
    }
    Ok(0)
}

async fn list(connect: &ConnectArgs) -> Result<u8, Failed> {
    let mut items = connect.connect()?.host()?.routes().await?.items;
    items.retain(|route| connect.names(&route.runtime_id));
    match connect.output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => terminal::print(table(&items).text().as_bytes())?,
    }
    Ok(0)
}

async fn remove(
    prefix: &RoutePrefix,
    site: Option<&SiteName>,
    connect: &ConnectArgs,
) -> Result<u8, Failed> {
    connect.connect()?.host()?.remove_route(site, prefix).await?;
    match connect.output {
        OutputFormat::Json => terminal::print(b"{}\n")?,
        OutputFormat::Text => terminal::say("removed", &prefix.to_string()),
    }
    Ok(0)
}

fn table(routes: &[RouteView]) -> Table {
    let mut table = Table::new(&["SITE", "ROUTE", "AUTH", "FROM", "STATE", "WORKER"]);
    for route in routes {
        let from = if route.created_at.is_some() { "skep route" } else { "skep.toml" };
        table.row([
            &route.site,
            &route.prefix,
            &route.auth.as_str(),
            &from,
            &route.state.as_str().replace('_', " "),
            &format!("{}/{}", route.runtime_id, route.worker_id),
        ]);
    }
    table
}
