//! `skep build`: the component of a project, examined as a run would.

use std::path::Path;

use clap::Args;
use skep_project::{Builder, Built};

use super::report::BuildReport;
use super::{ProjectFlag, prepare};
use crate::failure::Failed;
use crate::inspect::{self, Inspected};
use crate::output::OutputFormat;
use crate::terminal::Spinner;
use crate::{json, terminal};

/// Build the component of a project into build/NAME.wasm, and inspect it
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep build
  skep build --project examples/counter-js --output json

Tools are installed once, into the user's cache or the folder that SKEP_TOOLS names.

Exit codes: 0 built   1 the build failed   125 Skep failed, a tool is missing or bad usage   126 the
component would be refused")]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    project: ProjectFlag,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn build(arguments: &BuildArgs) -> u8 {
    let built = || -> Result<(), Failed> {
        let builder = prepare(arguments.project.find()?)?;
        let (built, inspected) = build_and_inspect(&builder)?;
        show(&builder, &built, &inspected, arguments.output)
    };
    built().map_or_else(|failed| failed.show(arguments.output), |()| 0)
}

/// Builds a component and checks that it would run.
pub(super) fn build_and_inspect(builder: &Builder) -> Result<(Built, Inspected), Failed> {
    let built = {
        let name = &builder.project().manifest().name;
        let _spinner = Spinner::after_a_while(format!("building {name}"));
        builder.build(&mut |_| {})?
    };
    let wasi_0_3 = builder.project().manifest().wasi_0_3;
    let inspected = inspect::inspect_file(&built.path, wasi_0_3.into())?;
    if let Some(refusal) = &inspected.refusal {
        let failed = Failed::refused(format!("the component would be refused: {refusal}"));
        return Err(match inspected.needs_wasi_0_3 && !wasi_0_3 {
            true => failed.hint("or set `wasi_0_3 = true` in the manifest of the project"),
            false => failed,
        });
    }
    Ok((built, inspected))
}

fn show(
    builder: &Builder,
    built: &Built,
    inspected: &Inspected,
    output: OutputFormat,
) -> Result<(), Failed> {
    let component = relative(builder.project().root(), &built.path);
    let kind = inspected.kind;
    let build_ms = u64::try_from(built.took.as_millis()).unwrap_or(u64::MAX);
    match output {
        OutputFormat::Json => terminal::print(&json::line(&BuildReport {
            component,
            digest: inspected.digest.clone(),
            bytes: built.bytes,
            kind,
            build_ms,
        }))?,
        OutputFormat::Text => terminal::say(
            "built",
            &format!(
                "{component}: {}, {} bytes, in {:.1} s",
                kind.unwrap_or("unknown kind"),
                built.bytes,
                built.took.as_secs_f64()
            ),
        ),
    }
    Ok(())
}

/// Returns a path below the project as text.
pub(super) fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
