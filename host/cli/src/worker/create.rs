//! `skep worker create` and `skep worker update`.

use std::collections::BTreeMap;

use clap::Args;
use skep_client::Client;
use skep_protocol::{
    Artifacts, Compiled, ComponentDigest, ConfigDigest, ConfigValues, CreateWorker, DisplayRef,
    Error, Invalid, Labels, LimitChanges, LimitName, WorkerChange, WorkerId, WorkerSpec, Workers,
};

use super::grants::GrantFlags;
use super::view::show;
use crate::component::push;
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::{key_value, quantity, terminal};

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker create counter.wasm --name tally --config step=2
  skep worker create build.wasm --scope src::/src --limit memory_bytes=64MiB
  skep worker create fetch.wasm --http https://api.example.com --secret weather
  skep worker create sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
pub(crate) struct CreateArgs {
    /// Component: a file, or the digest of a stored one
    component: String,

    /// Name of the worker
    #[arg(long, value_name = "NAME")]
    name: Option<DisplayRef>,

    /// Id of the worker, a UUIDv7. Repeating the command then returns the same worker
    #[arg(long, value_name = "ID")]
    id: Option<WorkerId>,

    /// Label. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = key_value::parse)]
    label: Vec<(String, String)>,

    /// Value of the config bundle. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = key_value::parse)]
    config: Vec<(String, String)>,

    #[command(flatten)]
    grants: GrantFlags,

    /// Limit that differs from the default; `skep inspect` lists the names. Repeat for more
    #[arg(long, value_name = "LIMIT=VALUE", value_parser = limit)]
    limit: Vec<(LimitName, u64)>,

    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Args)]
pub(crate) struct UpdateArgs {
    /// Worker: its id, RUNTIME/ID, or name
    worker: String,

    /// New component: a file, or the digest of a stored one
    #[arg(long, value_name = "FILE|DIGEST")]
    component: Option<String>,

    /// Value of a new config bundle, which replaces the old one. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = key_value::parse)]
    config: Vec<(String, String)>,

    /// New name of the worker
    #[arg(long, value_name = "NAME")]
    name: Option<DisplayRef>,

    /// New label; the new labels replace all old ones. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = key_value::parse)]
    label: Vec<(String, String)>,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl CreateArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

impl UpdateArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

pub(super) async fn create(arguments: &CreateArgs) -> Result<u8, Failed> {
    let runtime = arguments.connect.connect()?.runtime().await?;
    let component = match arguments.component.parse() {
        Ok(digest) => digest,
        Err(_) => stored(&runtime, &arguments.component).await?,
    };
    let spec = WorkerSpec {
        component,
        display_ref: arguments.name.clone(),
        labels: labels(&arguments.label)?.unwrap_or_default(),
        config: config(&runtime, &arguments.config).await?,
        grants: arguments.grants.grants(),
        limits: LimitChanges(arguments.limit.iter().copied().collect()),
    };
    let request = CreateWorker { worker_id: arguments.id, spec };
    show(&runtime.create(request).await?.item, arguments.output())?;
    Ok(0)
}

pub(super) async fn update(arguments: &UpdateArgs) -> Result<u8, Failed> {
    let (runtime, worker) = arguments.connect.connect()?.worker(&arguments.worker).await?;
    let component = match &arguments.component {
        None => None,
        Some(named) => match named.parse() {
            Ok(digest) => Some(digest),
            Err(_) => Some(stored(&runtime, named).await?),
        },
    };
    let change = WorkerChange {
        component,
        config: config(&runtime, &arguments.config).await?,
        display_ref: arguments.name.clone(),
        labels: labels(&arguments.label)?,
        ..WorkerChange::default()
    };
    if change == WorkerChange::default() {
        return Err(
            Failed::here("nothing to change").hint("give --component, --config, --name or --label")
        );
    }
    show(&runtime.update(worker, change).await?, arguments.output())?;
    Ok(0)
}

/// Stores the component that a file contains. Says if the worker will have to wait for it.
async fn stored(runtime: &Client, path: &str) -> Result<ComponentDigest, Failed> {
    let component = push(runtime, path.as_ref()).await?.item;
    if component.compiled == Compiled::Pending {
        terminal::say(
            "note",
            "the component is still being compiled; the worker's first input waits for it",
        );
    }
    Ok(component.digest)
}

/// Stores a config bundle of these values. Returns `None` if there are none.
async fn config(
    runtime: &Client,
    values: &[(String, String)],
) -> Result<Option<ConfigDigest>, Failed> {
    if values.is_empty() {
        return Ok(None);
    }
    let values: BTreeMap<_, _> = values.iter().cloned().collect();
    let values =
        ConfigValues::try_from(values).map_err(|error| Error::from(Invalid::from(error)))?;
    Ok(Some(runtime.put_config(values).await?.item.digest))
}

/// Checks these labels. Returns `None` if there are none.
fn labels(labels: &[(String, String)]) -> Result<Option<Labels>, Failed> {
    if labels.is_empty() {
        return Ok(None);
    }
    let labels: BTreeMap<_, _> = labels.iter().cloned().collect();
    Ok(Some(Labels::try_from(labels).map_err(Error::from)?))
}

fn limit(text: &str) -> Result<(LimitName, u64), String> {
    let (name, value) = text.split_once('=').ok_or("expected LIMIT=VALUE")?;
    let name: LimitName = name
        .parse()
        .map_err(|_| format!("unknown limit `{name}`; `skep inspect` lists the names"))?;
    Ok((name, quantity::bytes(value)?))
}
