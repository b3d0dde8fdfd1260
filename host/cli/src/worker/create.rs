//! `skep worker create` and `skep worker update`.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use skep_client::Client;
use skep_project::Project;
use skep_protocol::{
    Artifacts, Compiled, ComponentDigest, ConfigDigest, ConfigValues, CreateWorker, DisplayRef,
    Error, HttpSpec, Invalid, Labels, LimitChanges, LimitName, WorkerChange, WorkerId, WorkerSpec,
    Workers,
};

use super::grants::GrantFlags;
use super::http_flags::HttpFlags;
use super::view::show;
use crate::component::push;
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::{key_value, limit_arg, terminal};

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker create counter.wasm --name tally --config step=2
  skep worker create .                     as skep-worker.toml says, from the last `skep build`
  skep worker create build.wasm --scope src::/src --limit memory_bytes=64MiB
  skep worker create site.wasm --instances serial --limit http_at_once=1
  skep worker create fetch.wasm --http https://api.example.com --secret weather
  skep worker create sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
pub(crate) struct CreateArgs {
    /// Component: a file, the digest of a stored one, or the folder of a project with
    /// skep-worker.toml
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
    #[arg(long, value_name = "LIMIT=VALUE", value_parser = limit_arg::parse)]
    limit: Vec<(LimitName, u64)>,

    #[command(flatten)]
    http: HttpFlags,

    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Args)]
pub(crate) struct UpdateArgs {
    /// Worker: its id, RUNTIME/ID, or name, or the folder of a project, whose manifest and build are
    /// then the worker's new version
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

    /// New value of a limit; the others stay. Repeat for more
    #[arg(long, value_name = "LIMIT=VALUE", value_parser = limit_arg::parse)]
    limit: Vec<(LimitName, u64)>,

    #[command(flatten)]
    http: HttpFlags,

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
    if let Some(project) = project(&arguments.component)? {
        return create_from(&project, arguments).await;
    }
    let runtime = arguments.connect.connect()?.runtime().await?;
    let spec = WorkerSpec {
        component: component(&runtime, &arguments.component).await?,
        display_ref: arguments.name.clone(),
        labels: labels(&arguments.label)?.unwrap_or_default(),
        config: config(&runtime, arguments.config.iter().cloned().collect()).await?,
        grants: arguments.grants.grants(),
        limits: LimitChanges(arguments.limit.iter().copied().collect()),
        http: arguments.http.over(HttpSpec::default()).unwrap_or_default(),
    };
    let request = CreateWorker { worker_id: arguments.id, spec };
    show(&runtime.create(request).await?.item, arguments.output())?;
    Ok(0)
}

/// Creates a worker as a project's manifest describes it. Flags are added, and win.
async fn create_from(project: &Project, arguments: &CreateArgs) -> Result<u8, Failed> {
    let runtime = arguments.connect.connect()?.runtime().await?;
    let manifest = project.manifest();
    let mut values = manifest.config.clone();
    values.extend(arguments.config.iter().cloned());
    let mut own_labels = manifest.labels.clone();
    own_labels.extend(arguments.label.iter().cloned());
    let mut grants = manifest.grants();
    grants.add(arguments.grants.grants());
    let mut limits = manifest.limits();
    limits.0.extend(arguments.limit.iter().copied());
    let spec = WorkerSpec {
        component: push_built(&runtime, project).await?,
        display_ref: Some(arguments.name.clone().unwrap_or_else(|| manifest.display_ref())),
        labels: Labels::try_from(own_labels).map_err(Error::from)?,
        config: config(&runtime, values).await?,
        grants,
        limits,
        http: arguments.http.over(manifest.http).unwrap_or(manifest.http),
    };
    let request = CreateWorker { worker_id: arguments.id, spec };
    show(&runtime.create(request).await?.item, arguments.output())?;
    Ok(0)
}

/// Opens the project that a word names, if it is a folder.
fn project(word: &str) -> Result<Option<Project>, Failed> {
    let folder = Path::new(word);
    if !folder.is_dir() {
        return Ok(None);
    }
    Ok(Some(Project::open(&std::path::absolute(folder)?)?))
}

/// Stores the component that a project's last build left.
async fn push_built(runtime: &Client, project: &Project) -> Result<ComponentDigest, Failed> {
    let component = project.component();
    if !component.is_file() {
        return Err(Failed::here(format!("{} is not built", component.display()))
            .hint("run `skep build` in the project first"));
    }
    Ok(push(runtime, &component).await?.item.digest)
}

/// Changes the worker that has the name of a project to what its manifest describes.
async fn update_from(project: &Project, arguments: &UpdateArgs) -> Result<u8, Failed> {
    let manifest = project.manifest();
    let (runtime, worker) = arguments.connect.connect()?.worker(&manifest.name).await?;
    let before = runtime.get(worker).await?.spec;
    let mut values = manifest.config.clone();
    values.extend(arguments.config.iter().cloned());
    // An empty bundle takes away the values of an earlier one.
    let values =
        ConfigValues::try_from(values).map_err(|error| Error::from(Invalid::from(error)))?;
    let has_values = values.iter().next().is_some();
    let config = match before.config {
        None if !has_values => None,
        _ => Some(runtime.put_config(values).await?.item.digest),
    };
    let mut limits = manifest.limits();
    limits.0.extend(arguments.limit.iter().copied());
    let change = WorkerChange {
        component: Some(match &arguments.component {
            None => push_built(&runtime, project).await?,
            Some(named) => component(&runtime, named).await?,
        }),
        config,
        display_ref: arguments.name.clone(),
        labels: Some(manifest.labels()),
        grants: Some(manifest.grants()),
        limits: Some(limits),
        ..WorkerChange::default()
    };
    show(&runtime.update(worker, change).await?, arguments.output())?;
    Ok(0)
}

/// Returns the digest of a stored component, or of a file after it was stored.
pub(super) async fn component(runtime: &Client, named: &str) -> Result<ComponentDigest, Failed> {
    match named.parse() {
        Ok(digest) => Ok(digest),
        Err(_) => stored(runtime, named).await,
    }
}

pub(super) async fn update(arguments: &UpdateArgs) -> Result<u8, Failed> {
    if let Some(project) = project(&arguments.worker)? {
        return update_from(&project, arguments).await;
    }
    let (runtime, worker) = arguments.connect.connect()?.worker(&arguments.worker).await?;
    let component = match &arguments.component {
        None => None,
        Some(named) => Some(component(&runtime, named).await?),
    };
    let (mut limits, mut limits_before) = (None, None);
    if !arguments.limit.is_empty() {
        let before = runtime.get(worker).await?.spec.limits;
        let mut all = before.clone();
        all.0.extend(arguments.limit.iter().copied());
        (limits, limits_before) = (Some(all), Some(before));
    }
    let change = WorkerChange {
        component,
        config: config(&runtime, arguments.config.iter().cloned().collect()).await?,
        display_ref: arguments.name.clone(),
        labels: labels(&arguments.label)?,
        limits,
        limits_before,
        http: match arguments.http.is_empty() {
            true => None,
            false => arguments.http.over(runtime.get(worker).await?.spec.http),
        },
        ..WorkerChange::default()
    };
    if change == WorkerChange::default() {
        return Err(Failed::here("nothing to change")
            .hint("give --component, --config, --name, --label, --limit or --instances"));
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
    values: BTreeMap<String, String>,
) -> Result<Option<ConfigDigest>, Failed> {
    if values.is_empty() {
        return Ok(None);
    }
    let values =
        ConfigValues::try_from(values).map_err(|error| Error::from(Invalid::from(error)))?;
    Ok(Some(runtime.put_config(values).await?.item.digest))
}

/// Checks these labels. Returns `None` if there are none.
pub(super) fn labels(labels: &[(String, String)]) -> Result<Option<Labels>, Failed> {
    if labels.is_empty() {
        return Ok(None);
    }
    let labels: BTreeMap<_, _> = labels.iter().cloned().collect();
    Ok(Some(Labels::try_from(labels).map_err(Error::from)?))
}
