//! `skep worker create` and what `update` shares with it.

use std::collections::BTreeMap;

use clap::Args;
use skep_client::Client;
use skep_protocol::{
    Artifacts, ConfigDigest, ConfigValues, CreateWorker, DisplayRef, Error, Invalid, Labels,
    LimitChanges, LimitName, WorkerId, WorkerSpec, Workers,
};

use super::grants::GrantFlags;
use super::show;
use crate::component::push;
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::{OutputFormat, quantity};

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker create counter.wasm --name tally --config step=2
  skep worker create build.wasm --scope src::/src --limit memory_bytes=64MiB
  skep worker create fetch.wasm --http https://api.example.com --secret weather
  skep worker create sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
pub(crate) struct CreateArgs {
    /// A component's file, or the digest of a stored one
    component: String,

    /// What people call it
    #[arg(long, value_name = "NAME")]
    name: Option<DisplayRef>,

    /// Its id, a UUIDv7: the same command again is then the same worker
    #[arg(long, value_name = "ID")]
    id: Option<WorkerId>,

    /// A label. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = pair)]
    label: Vec<(String, String)>,

    /// A value of its config bundle. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = pair)]
    config: Vec<(String, String)>,

    #[command(flatten)]
    grants: GrantFlags,

    /// A limit other than the default: `skep inspect` lists their names
    #[arg(long, value_name = "LIMIT=VALUE", value_parser = limit)]
    limit: Vec<(LimitName, u64)>,

    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Args)]
pub(crate) struct UpdateArgs {
    /// Which
    pub(super) worker: String,

    /// Another component: a file, or the digest of a stored one
    #[arg(long, value_name = "FILE|DIGEST")]
    pub(super) component: Option<String>,

    /// A value of another config bundle, which replaces the old one. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub(super) config: Vec<(String, String)>,

    /// What people call it from now on
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<DisplayRef>,

    /// A label; they replace all that there were. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub(super) label: Vec<(String, String)>,

    #[command(flatten)]
    pub(super) connect: ConnectArgs,
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
        Err(_) => push(&runtime, arguments.component.as_ref()).await?.item.digest,
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

/// Stores a bundle of these values, if there are any.
pub(super) async fn config(
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

/// These labels, if there are any.
pub(super) fn labels(labels: &[(String, String)]) -> Result<Option<Labels>, Failed> {
    if labels.is_empty() {
        return Ok(None);
    }
    let labels: BTreeMap<_, _> = labels.iter().cloned().collect();
    Ok(Some(Labels::try_from(labels).map_err(Error::from)?))
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

fn limit(text: &str) -> Result<(LimitName, u64), String> {
    let (name, value) = text.split_once('=').ok_or("expected LIMIT=VALUE")?;
    let name: LimitName = name
        .parse()
        .map_err(|_| format!("there is no limit `{name}`: `skep inspect` lists them"))?;
    Ok((name, quantity::bytes(value)?))
}
