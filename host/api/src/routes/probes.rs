//! Routes for monitoring: liveness, readiness and metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;

use crate::app::App;
use crate::app::Surface;
use crate::metrics::{family, sample};
use crate::path::RequestCaller;
use crate::refusal::{HandlerResult, ProblemResponse};
use crate::route::{BodySchema, Route};
use crate::server::ConnectionInfo;

/// Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn routes() -> Vec<Route> {
    let ok = "text/plain; charset=utf-8";
    vec![
        Route::get("/healthz", ("healthz", "Reports liveness"), || async { "ok\n" })
            .open()
            .answers(200, "Alive.", BodySchema::Bytes(ok)),
        Route::get("/readyz", ("readyz", "Reports readiness: all workers are restored"), ready)
            .open()
            .answers(200, "Ready.", BodySchema::Bytes(ok))
            .refuses(&[503]),
        Route::get("/metrics", ("metrics", "Returns metrics for Prometheus"), metrics).answers(
            200,
            "The samples.",
            BodySchema::Bytes(TEXT),
        ),
    ]
}

async fn ready(State(app): State<App>) -> HandlerResult<&'static str> {
    if app.registry.is_ready().await { Ok("ready\n") } else { Err(ProblemResponse::not_ready()) }
}

async fn metrics(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    Extension(link): Extension<Arc<ConnectionInfo>>,
) -> ([(HeaderName, &'static str); 1], String) {
    let mut out = String::new();
    app.metrics.write(&mut out);
    family(&mut out, "skep_open_connections", "gauge", "Open connections.");
    sample(&mut out, "skep_open_connections", &[], link.open.load(Ordering::Relaxed));
    let mut runtimes = Vec::new();
    match app.surface {
        Surface::Browser => {
            for runtime in app.registry.runtimes(&caller).await.items {
                let id = runtime.runtime_id.to_string();
                runtimes.push((id, runtime.workers, runtime.connected));
            }
        }
        Surface::Runtime => {
            if let Ok(own) = app.registry.own(&caller)
                && let Ok(view) = own.describe().await
            {
                let id = view.runtime_id.to_string();
                runtimes.push((id, Some(view.workers), Some(view.connected)));
            }
        }
    }
    family(&mut out, "skep_workers", "gauge", "Workers.");
    for (id, workers, _) in &runtimes {
        if let Some(workers) = workers {
            sample(&mut out, "skep_workers", &[("runtime_id", id)], workers);
        }
    }
    family(&mut out, "skep_instances", "gauge", "Live instances.");
    for (id, _, connected) in &runtimes {
        if let Some(connected) = connected {
            sample(&mut out, "skep_instances", &[("runtime_id", id)], connected);
        }
    }
    ([(CONTENT_TYPE, TEXT)], out)
}
