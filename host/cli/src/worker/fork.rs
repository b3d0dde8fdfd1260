//! `skep worker fork`: copies a worker between two of its turns.

use clap::Args;
use skep_protocol::{DisplayRef, ForkWorker, LimitChanges, LimitName, WorkerId, Workers};

use super::create::{component, labels};
use super::view::show;
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::{key_value, limit_arg};

#[derive(Args)]
#[command(after_help = "\
The copy has the worker's state, files, config and limits as of its last turn, and none of its
grants, transcript and inputs.

Examples:
  skep worker fork tally --name tally-copy
  skep worker fork tally --name trial --component counter2.wasm
  skep worker send trial add 1 && skep worker rm trial")]
pub(super) struct ForkArgs {
    /// Worker to copy: its id, RUNTIME/ID, or name
    worker: String,

    /// Name of the copy
    #[arg(long, value_name = "NAME")]
    name: Option<DisplayRef>,

    /// Id of the copy, a UUIDv7. Repeating the command then returns the same copy
    #[arg(long, value_name = "ID")]
    id: Option<WorkerId>,

    /// Other component of the same kind for the copy: a file, or the digest of a stored one
    #[arg(long, value_name = "FILE|DIGEST")]
    component: Option<String>,

    /// Label of the copy; the labels given replace the worker's. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = key_value::parse)]
    label: Vec<(String, String)>,

    /// Limit of the copy; the limits given replace the worker's. Repeat for more
    #[arg(long, value_name = "LIMIT=VALUE", value_parser = limit_arg::parse)]
    limit: Vec<(LimitName, u64)>,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl ForkArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

pub(super) async fn fork(arguments: &ForkArgs) -> Result<u8, Failed> {
    let (runtime, worker) = arguments.connect.connect()?.worker(&arguments.worker).await?;
    let component = match &arguments.component {
        Some(named) => Some(component(&runtime, named).await?),
        None => None,
    };
    let limits = Some(&arguments.limit).filter(|limits| !limits.is_empty());
    let request = ForkWorker {
        worker_id: arguments.id,
        display_ref: arguments.name.clone(),
        labels: labels(&arguments.label)?,
        component,
        limits: limits.map(|limits| LimitChanges(limits.iter().copied().collect())),
    };
    show(&runtime.fork(worker, request).await?.item, arguments.output())?;
    Ok(0)
}
