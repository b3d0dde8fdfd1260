//! What watches this process asks: does it live, is it ready, what has it counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;

use crate::App;
use crate::Surface;
use crate::metrics::{family, sample};
use crate::place::Asking;
use crate::refusal::{Answer, Refusal};
use crate::route::{Content, Route};
use crate::server::Link;

/// Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn routes() -> Vec<Route> {
    let ok = "text/plain; charset=utf-8";
    vec![
        Route::get("/healthz", ("healthz", "Whether it lives"), || async { "ok\n" })
            .open()
            .answers(200, "It does.", Content::Bytes(ok)),
        Route::get("/readyz", ("readyz", "Whether workers have been restored"), ready)
            .open()
            .answers(200, "They have.", Content::Bytes(ok))
            .refuses(&[503]),
        Route::get("/metrics", ("metrics", "What has been counted, for Prometheus"), metrics)
            .answers(200, "The samples.", Content::Bytes(TEXT)),
    ]
}

async fn ready(State(app): State<App>) -> Answer<&'static str> {
    if app.registry.is_ready().await { Ok("ready\n") } else { Err(Refusal::not_ready()) }
}

async fn metrics(
    State(app): State<App>,
    Asking(caller): Asking,
    Extension(link): Extension<Arc<Link>>,
) -> ([(HeaderName, &'static str); 1], String) {
    let mut out = String::new();
    app.metrics.write(&mut out);
    family(&mut out, "skep_open_connections", "gauge", "Connections that are open.");
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
    family(&mut out, "skep_workers", "gauge", "Workers that exist.");
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
