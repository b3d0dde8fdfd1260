//! `skep ci lock`: fills in the checksums of tools.

use clap::Args;

use super::fetch::HostFetch;
use super::open::OpenPipeline;
use super::options::PipelineFlags;
use crate::failure::Failed;
use crate::host_file::HostFile;
use crate::output::OutputFormat;
use crate::{json, terminal};

/// Fill in the checksums of tools that have none
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep ci lock
  skep ci lock --check        fail if a checksum is missing or wrong, and change nothing

A checksum that is there is never changed: remove it to take another version.")]
pub(crate) struct CiLockArgs {
    #[command(flatten)]
    pipeline: PipelineFlags,

    /// Get each file again and compare, and change nothing
    #[arg(long)]
    check: bool,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

impl CiLockArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.output
    }
}

/// Runs the subcommand and returns the exit code.
pub(super) fn lock(arguments: &CiLockArgs) -> Result<u8, Failed> {
    let pipeline = OpenPipeline::open(&arguments.pipeline)?;
    let plan = pipeline.plan(&OpenPipeline::options(&arguments.pipeline))?;
    let mut fetch = HostFetch::new(arguments.pipeline.allow_absolute);
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for pinned in skep_ci::pinned_files(&plan) {
        if pinned.sha256.is_some() && !arguments.check {
            continue;
        }
        let sha256 = skep_ci::pin(pinned, &pipeline.store, &pipeline.sources, &mut fetch)
            .map_err(|error| Failed::here(error.to_string()))?;
        match &pinned.sha256 {
            Some(pin) if *pin == sha256 => {}
            Some(pin) => wrong.push(format!("{} is {sha256}, not {pin}", pinned.shown())),
            None => found.push((pinned, sha256)),
        }
    }
    if arguments.check {
        wrong.extend(
            found.iter().map(|(pinned, sha256)| {
                format!("{} has no checksum; it is {sha256}", pinned.shown())
            }),
        );
        return match wrong.is_empty() {
            true => Ok(0),
            false => {
                Err(Failed::here(wrong.join("; ")).hint("`skep ci lock` fills in what is missing"))
            }
        };
    }
    if !found.is_empty() {
        let text = skep_ci::with_pins(&pipeline.text, &found).map_err(Failed::here)?;
        let path = pipeline.folder.join(&pipeline.file_name);
        HostFile::find(&path, None)?.write(text.as_bytes())?;
    }
    let printed = match arguments.output {
        OutputFormat::Json => {
            let pins: std::collections::BTreeMap<_, _> =
                found.iter().map(|(pinned, sha256)| (pinned.shown(), sha256.clone())).collect();
            terminal::print(&json::line(&pins))
        }
        OutputFormat::Text => {
            let line = |(pinned, sha256): &(&skep_ci::PinnedFile, String)| {
                format!("{sha256}  {}\n", pinned.shown())
            };
            terminal::print(found.iter().map(line).collect::<String>().as_bytes())
        }
    };
    Ok(terminal::conclude(printed, 0))
}
