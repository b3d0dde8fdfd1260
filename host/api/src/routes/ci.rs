//! Routes for runs of pipelines, which `skep ci` leaves on this machine. They only read.
//!
//! A step's id holds brackets and values of a matrix, often paths (`cc[file=src/a.c]`). It stands in
//! the query: proxies decode `%2F` in a path, and normalise `..` there.
//!
//! A run belongs to this machine's user and to no runtime, so a caller who is limited to some
//! runtimes sees none.

use std::io::Read;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use skep_protocol::ci::{
    CiRunSummary, CiRuns, ListCiRuns, LogPage, LogPlace, OutputContent, RunResult, StepExplanation,
};
use skep_protocol::{CiRunId, Error, Listing};
use skep_registry::Caller;

use super::attachment::{attach, value};
use super::session::on_disk;
use crate::app::App;
use crate::page::{PAGE, listing, whole};
use crate::path::PathParams;
use crate::query::Query;
use crate::refusal::{HandlerResult, ProblemResponse, query};
use crate::route::{BodySchema, Route, json};

const BYTES: &str = "application/octet-stream";

/// Bytes of an output that are read at once.
const CHUNK: usize = 64 << 10;

const STEP: &str = "Id of the step, such as `cc[file=src/a.c]`.";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/ci/runs",
            ("listCiRuns", "Lists runs of pipelines on this machine, newest first"),
            list,
        )
        .query::<String>("cursor", "Cursor of the previous page.")
        .query::<u64>("limit", "Maximum number of runs.")
        .answers(200, "The runs.", json::<Listing<CiRunSummary>>()),
        Route::get(
            "/api/ci/runs/{run_id}",
            ("getCiRun", "Returns a run of a pipeline, as far as it has come"),
            run,
        )
        .answers(200, "The run.", json::<RunResult>())
        .refuses(&[404]),
        Route::get(
            "/api/ci/runs/{run_id}/log",
            ("readCiLog", "Returns what a step printed, as numbered records"),
            log,
        )
        .query::<String>("step", STEP)
        .query::<u64>("after", "Number of the last record before the page.")
        .query::<u64>("limit", "Maximum number of records.")
        .answers(200, "The records.", json::<LogPage>())
        .refuses(&[404]),
        Route::get(
            "/api/ci/runs/{run_id}/output",
            ("readCiOutput", "Returns a file that a step left"),
            output,
        )
        .query::<String>("step", STEP)
        .query::<String>("path", "Path of the output below the output directory.")
        .answers(200, "The file.", BodySchema::Bytes(BYTES))
        .refuses(&[404]),
        Route::get(
            "/api/ci/runs/{run_id}/explanation",
            ("explainCiStep", "Returns why a step ran, or came from the cache"),
            explanation,
        )
        .query::<String>("step", STEP)
        .answers(200, "The reason.", json::<StepExplanation>())
        .refuses(&[404]),
    ]
}

/// The runs that the caller may see; none if there are none here.
struct SeenRuns(Option<Arc<dyn CiRuns>>);

impl FromRequestParts<App> for SeenRuns {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> HandlerResult<Self> {
        let caller = parts.extensions.get::<Caller>().ok_or(Error::Unauthenticated)?;
        Ok(Self(app.ci_runs.clone().filter(|_| caller.runtimes.is_none())))
    }
}

impl SeenRuns {
    /// Reads something of a run.
    async fn read<T: Send + 'static>(
        self,
        run: CiRunId,
        read: impl FnOnce(&dyn CiRuns, &CiRunId) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let Some(runs) = self.0 else { return Err(Error::UnknownRun(run)) };
        on_disk(move || read(&*runs, &run)).await
    }
}

/// Returns a parameter that has to be there.
fn needed(from: &Query, name: &str) -> HandlerResult<String> {
    from.text(name)?.ok_or_else(query)
}

async fn list(seen: SeenRuns, query: Query) -> HandlerResult<Json<Listing<CiRunSummary>>> {
    let wanted = ListCiRuns { cursor: query.text("cursor")?, limit: query.limit(PAGE)? };
    let Some(runs) = seen.0 else { return Ok(Json(whole(Vec::new()))) };
    Ok(Json(listing(on_disk(move || runs.list(&wanted)).await?)))
}

async fn run(seen: SeenRuns, names: PathParams) -> HandlerResult<Json<RunResult>> {
    Ok(Json(seen.read(names.run()?, |runs, run| runs.run(run)).await?))
}

async fn log(seen: SeenRuns, names: PathParams, query: Query) -> HandlerResult<Json<LogPage>> {
    let step = needed(&query, "step")?;
    let after = query.number("after")?.unwrap_or(0);
    let place = LogPlace { after, limit: query.limit(PAGE)? };
    let read = move |runs: &dyn CiRuns, run: &CiRunId| runs.log(run, &step, place);
    Ok(Json(seen.read(names.run()?, read).await?))
}

async fn explanation(
    seen: SeenRuns,
    names: PathParams,
    query: Query,
) -> HandlerResult<Json<StepExplanation>> {
    let step = needed(&query, "step")?;
    let read = move |runs: &dyn CiRuns, run: &CiRunId| runs.explanation(run, &step);
    Ok(Json(seen.read(names.run()?, read).await?))
}

/// Sends an output. Its content is untrusted: a browser must save it, never render it.
async fn output(seen: SeenRuns, names: PathParams, query: Query) -> HandlerResult<Response> {
    let (step, path) = (needed(&query, "step")?, needed(&query, "path")?);
    let read = move |runs: &dyn CiRuns, run: &CiRunId| runs.output(run, &step, &path);
    let OutputContent { output, content } = seen.read(names.run()?, read).await?;
    let chunks = futures_util::stream::try_unfold(content, |content| on_disk(|| chunk(content)));
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    attach(headers, output.path.rsplit('/').next().unwrap_or_default());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(BYTES));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(output.bytes));
    headers.insert(ETAG, value(&format!("\"{}\"", output.digest)));
    Ok(response)
}

type Content = Box<dyn Read + Send>;

/// Reads the next bytes of an output; `None` at its end.
fn chunk(mut content: Content) -> Result<Option<(Bytes, Content)>, Error> {
    let mut bytes = Vec::with_capacity(CHUNK);
    let read = (&mut content).take(CHUNK as u64).read_to_end(&mut bytes);
    match read {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some((bytes.into(), content))),
        Err(_) => Err(Error::Internal),
    }
}
