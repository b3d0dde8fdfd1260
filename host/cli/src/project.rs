//! A guest author's commands: `skep new`, `build`, `test`, `dev` and `schema`.

mod build;
mod console_input;
mod dev;
mod dev_host;
mod dev_output;
mod dev_site;
mod new;
mod report;
mod schema;
mod scratch;
mod test;
mod version;
mod watch;

use std::path::PathBuf;

use clap::Args;
use skep_project::{Builder, Project, ToolsPlace};

use crate::ambient;
use crate::failure::Failed;
use crate::terminal::{self, Spinner};

pub(crate) use build::{BuildArgs, build};
pub(crate) use dev::{DevArgs, dev};
pub(crate) use new::{NewArgs, new};
pub(crate) use schema::{SchemaArgs, schema};
pub(crate) use test::{TestArgs, test};

/// The flag that names a project.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProjectFlag {
    /// Folder of the project [default: this folder or the nearest above it with skep-worker.toml]
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

impl ProjectFlag {
    /// Finds the project.
    pub(crate) fn find(&self) -> Result<Project, Failed> {
        Ok(match &self.project {
            Some(folder) => Project::open(&std::path::absolute(folder)?)?,
            None => Project::find(&std::env::current_dir()?)?,
        })
    }
}

/// Prepares a build of a project: unpacks the SDK and installs the tools where they are missing.
pub(crate) fn prepare(project: Project) -> Result<Builder, Failed> {
    let place = tools_place(&project);
    let mut announced = false;
    let message = format!("installing the tools for {}", project.manifest().lang);
    let _spinner = Spinner::after_a_while(message.clone());
    let builder = Builder::prepare(project, &place, &mut |_| {
        if !announced && !terminal::stderr_is_terminal() {
            terminal::say("tools", &message);
            announced = true;
        }
    })?;
    Ok(builder)
}

/// Returns the folder of the tools: `SKEP_TOOLS`, the user's cache, or the project itself.
fn tools_place(project: &Project) -> ToolsPlace {
    let named = std::env::var_os("SKEP_TOOLS").filter(|place| !place.is_empty());
    let place = named.map(PathBuf::from).or_else(|| ambient::cache_path("tools"));
    ToolsPlace::new(place.unwrap_or_else(|| project.private().join("tools")))
}
