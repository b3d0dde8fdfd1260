//! Loading the component of a run, and its record for the hosts of this machine.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_protocol::WorkerId;
use skep_protocol::text::neutral;
use skep_registry::{LocalRun, RunRecord};
use skep_sandbox::{CompileOutcome, LoadError, Loaded, Profile, Unkept};

use super::millis::millis;
use super::prepare::{PreparedRun, warn_uncached};
use crate::report::CompileReport;
use crate::terminal::Spinner;
use crate::{ambient, clock};

/// Checks and compiles the component on another thread.
pub(super) async fn load(run: &mut PreparedRun) -> Result<Arc<Loaded>, LoadError> {
    let sandbox = run.sandbox.clone();
    let component = std::mem::take(&mut run.component);
    let profile = match (run.arguments.deterministic, run.arguments.fuel) {
        (None, None) => Profile::Default,
        _ => Profile::Deterministic,
    };
    let began = Instant::now();
    let _spinner = Spinner::after_a_while(format!("compiling {}", neutral(&run.name)));
    let loading =
        tokio::task::spawn_blocking(move || (component.load(&sandbox, profile), component));
    let (loaded, component) =
        loading.await.map_err(|error| LoadError::Engine(error.to_string()))?;
    let (loaded, outcome) = loaded?;
    if loaded.shape.has_lines {
        // A crash is shown with source lines.
        run.component = component;
    }
    let (queued, compiled, report) = match outcome {
        CompileOutcome::Hit => {
            (Duration::ZERO, Duration::ZERO, CompileReport { cache: "hit", ms: None })
        }
        CompileOutcome::Shared { waited } => {
            (waited, Duration::ZERO, CompileReport { cache: "shared", ms: None })
        }
        CompileOutcome::Miss { waited, took, kept } => {
            // A missing cache was reported when the sandbox started.
            if let Err(unkept @ Unkept::Io(_)) = kept {
                warn_uncached(&unkept);
            }
            (waited, took, CompileReport { cache: "miss", ms: Some(millis(took)) })
        }
    };
    run.report.compile = Some(report);
    let timing = &mut run.report.timing;
    timing.queue_ms = millis(queued);
    timing.compile_ms = millis(compiled);
    timing.load_ms += millis(began.elapsed().saturating_sub(queued + compiled));
    Ok(loaded)
}

/// Records the run, so that the hosts of this machine show it until the returned value is dropped.
pub(super) fn register(run: &PreparedRun, loaded: &Loaded) -> Option<LocalRun> {
    let register = || -> io::Result<LocalRun> {
        let started_at = clock::now();
        let record = RunRecord {
            worker_id: WorkerId::new(started_at.as_millis(), ambient::random()?),
            component: loaded.shape.digest,
            kind: loaded.kind,
            display_ref: neutral(&run.name).to_string().parse().ok(),
            started_at,
            pid: std::process::id(),
        };
        LocalRun::register(&ambient::local_runs()?, &record)
    };
    let registered = register();
    if let Err(error) = &registered {
        tracing::info!(%error, "cannot record this run for the hosts of this machine");
    }
    registered.ok()
}
