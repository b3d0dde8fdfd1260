//! Flags that several subcommands share.

use std::path::PathBuf;

use clap::Args;
use skep_ci::{Pattern, Plan};
use skep_protocol::SecretName;

use crate::failure::Failed;

/// The pipeline that a command is about.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct PipelineFlags {
    /// Pipeline file [default: skep-ci.toml in this folder or the nearest above it]
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,

    /// A word that separates your results from those of others that share the cache
    #[arg(long, value_name = "WORD")]
    pub(super) salt: Option<String>,

    /// Let steps send requests to addresses of this machine's own network, where their `http` says
    /// `inner`
    #[arg(long)]
    pub(super) allow_inner: bool,

    /// Let tools be files of this machine outside of the project's folder
    #[arg(long)]
    pub(super) allow_absolute: bool,

    /// Let tools be programs of WASI 0.3, which is experimental. A runtime has a setting of its own
    #[arg(long = "wasi-0.3")]
    pub(super) wasi_0_3: bool,

    /// Let steps use this secret, where their `secrets` name it. Repeat for more
    #[arg(long, value_name = "NAME")]
    pub(super) secret: Vec<SecretName>,

    /// Settings with the secrets [env: SKEP_CONFIG] [default: skep/skep.toml in the user
    /// configuration directory]
    #[arg(long, value_name = "FILE")]
    pub(super) settings: Option<PathBuf>,
}

/// Keeps the steps whose name or id matches one of some globs, and those that they need.
pub(super) fn select(plan: Plan, globs: &[String]) -> Result<Plan, Failed> {
    if globs.is_empty() {
        return Ok(plan);
    }
    let mut patterns = Vec::new();
    for glob in globs {
        // An id contains brackets, which a glob would take for a choice.
        if plan.steps.iter().any(|step| step.id == *glob) {
            patterns.push((glob.clone(), None));
            continue;
        }
        let pattern = Pattern::parse(glob)
            .map_err(|error| Failed::here(format!("bad step pattern `{glob}`: {error}")))?;
        if !plan.steps.iter().any(|step| pattern.matches(&step.name)) {
            let names = plan.steps.iter().map(|step| step.name.as_str());
            let failed = Failed::here(format!("no step matches `{glob}`"));
            return Err(match skep_ci::nearest(glob, names) {
                Some(near) => failed.hint(format!("did you mean `{near}`?")),
                None => failed.hint("`skep ci graph` lists the steps"),
            });
        }
        patterns.push((glob.clone(), Some(pattern)));
    }
    Ok(plan.selected(|step| {
        patterns.iter().any(|(glob, pattern)| match pattern {
            Some(pattern) => pattern.matches(&step.name),
            None => step.id == *glob,
        })
    }))
}
