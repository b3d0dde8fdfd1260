//! The checks of every request before its handler, and the headers of every response.
//!
//! Refuses requests that are too large or malformed, that are for another host, that have no valid
//! credential, that another site made a browser send, or that have parameters unknown to the route.
//! Permissions are the registry's.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use skep_protocol::{InputId, RuntimeId, WorkerId};
use tracing::Instrument as _;

use crate::app::{App, Surface};
use crate::compress::Wanted;
use crate::credential::Credential;
use crate::head_size::check_size;
use crate::http_front::WorkerAnswer;
use crate::origin;
use crate::query;
use crate::refusal::{HandlerResult, ProblemResponse};
use crate::server::ConnectionInfo;

/// The Content-Security-Policy of responses: load nothing, be framed nowhere, submit nothing.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; sandbox";

/// Checks a request, passes it to its handler, counts and logs it, and seals the response.
pub(crate) async fn gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = path.and_then(|path| app.route(&method, path));
    // A missing path or method is answered without login: it reveals nothing.
    let leads = route.is_some() || path.is_some_and(|path| !app.routes.contains_key(path));
    let counters = Arc::clone(route.map_or(&app.unmatched, |route| &route.counters));
    let open = route.is_some_and(|route| route.open);
    let span = span(&request);
    let wanted = Wanted::of(&method, request.headers());
    let admitted = admit(&app, &mut request, open, leads).await;
    let understood = admitted.and_then(|()| {
        let query = request.uri().query().unwrap_or_default();
        route.map_or(Ok(()), |route| query::check(query, &route.query))
    });
    let mut response = match understood {
        Err(refusal) => refusal.into_response(),
        Ok(()) => next.run(request).instrument(span.clone()).await,
    };
    let status = response.status();
    counters.count(status.as_u16(), began.elapsed());
    // An unsupported operation is not a server failure, and neither is what a worker answers.
    let is_ours = response.extensions().get::<WorkerAnswer>().is_none();
    if is_ours && status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
        let route = route.map(|route| route.path.as_str());
        let status = status.as_u16();
        tracing::warn!(parent: &span, route, status, "request failed");
    } else {
        tracing::debug!(parent: &span, status = status.as_u16(), "request answered");
    }
    match (response.extensions().get::<WorkerAnswer>(), app.surface) {
        // The registry that asked for it seals it, if it has to.
        (Some(WorkerAnswer), Surface::Runtime) => return response,
        (Some(WorkerAnswer), Surface::Browser) => {
            // A worker's page on this origin is not one of ours: it runs no script and has no cookie.
            response
                .headers_mut()
                .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
            seal(response.headers_mut());
            return response;
        }
        (None, _) => seal(response.headers_mut()),
    }
    app.compressor.compress(wanted, response)
}

/// Decides if a request may reach its handler, and authenticates its caller.
async fn admit(app: &App, request: &mut Request, open: bool, leads: bool) -> HandlerResult<()> {
    let peer = link(request).peer;
    check_size(request.uri(), request.headers())?;
    check_encoding(request.uri())?;
    let browser = app.surface == Surface::Browser;
    let authority = origin::authority(request.uri(), request.headers()).unwrap_or_default();
    let probed = matches!(request.uri().path(), "/healthz" | "/readyz");
    if browser && !probed && !origin::is_allowed_host(authority, &app.allowed_hosts) {
        return Err(ProblemResponse::misdirected());
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let of_page = origin::of_page(authority, request.headers());
    if open {
        // Login CSRF: another site could log its visitor in under its own account.
        let logs_in = browser && !safe;
        return if logs_in { check_page(request.headers(), of_page, true) } else { Ok(()) };
    }
    if !leads {
        return Ok(());
    }
    let credential = Credential::of(request.headers(), peer.ip(), browser)?;
    let caller = credential.check(&app.registry).await?;
    if credential.is_ambient() && !safe {
        check_page(request.headers(), of_page, false)?;
    }
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(credential);
    Ok(())
}

/// Returns the connection of the request.
fn link(request: &mut Request) -> Arc<ConnectionInfo> {
    let link = request.extensions_mut().get_or_insert_with(|| Arc::new(ConnectionInfo::none()));
    Arc::clone(link)
}

/// Checks that each `%` is followed by two hex digits, and that the decoded path is UTF-8.
fn check_encoding(uri: &Uri) -> HandlerResult<()> {
    let Some(path) = uri.path_and_query().map(|path| path.as_str()) else { return Ok(()) };
    if !path.contains('%') {
        return if path.is_ascii() { Ok(()) } else { Err(ProblemResponse::malformed_url()) };
    }
    let hex = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let encoded = path.match_indices('%').all(|(at, _)| hex(&path[at + 1..]));
    if !encoded || percent_decode_str(path).decode_utf8().is_err() {
        return Err(ProblemResponse::malformed_url());
    }
    Ok(())
}

/// Checks that a page of this host sent a change. Pages cannot choose their Origin. If it may be
/// absent, the content type decides: another site's page can send only those of forms.
fn check_page(headers: &HeaderMap, of_page: Option<bool>, may_be_none: bool) -> HandlerResult<()> {
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or("");
    let media = media.split(';').next().unwrap_or("").trim();
    let is = |form: &str| media.eq_ignore_ascii_case(form);
    let form = is("application/x-www-form-urlencoded") || is("multipart/form-data");
    // Plain text is a legitimate input, and harmless if the origin is known.
    if form || may_be_none && is("text/plain") {
        return Err(ProblemResponse::unsupported_media_type());
    }
    match of_page {
        Some(true) => Ok(()),
        None if may_be_none => Ok(()),
        Some(false) | None => Err(ProblemResponse::foreign_origin()),
    }
}

/// Creates the log span of a request. It has only ids that parse as ids.
fn span(request: &Request) -> tracing::Span {
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        runtime_id = tracing::field::Empty,
        worker_id = tracing::field::Empty,
        input_id = tracing::field::Empty,
    );
    if span.is_disabled() {
        return span;
    }
    let mut parts = request.uri().path().split('/');
    while let Some(part) = parts.next() {
        let name = parts.clone().next().unwrap_or_default();
        match part {
            "runtimes" => name.parse::<RuntimeId>().ok().map(|id| {
                span.record("runtime_id", tracing::field::display(id));
            }),
            "workers" => name.parse::<WorkerId>().ok().map(|id| {
                span.record("worker_id", tracing::field::display(id));
            }),
            "inputs" => name.parse::<InputId>().ok().map(|id| {
                span.record("input_id", tracing::field::display(id));
            }),
            "files" | "http" => break,
            _ => None,
        };
    }
    span
}

/// Sets the security headers of a response. A page of ours already has its own policy.
fn seal(headers: &mut HeaderMap) {
    const ALWAYS: [(HeaderName, &str); 4] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [(CACHE_CONTROL, "no-store"), (CONTENT_SECURITY_POLICY, POLICY)] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badly_encoded_url_is_refused() {
        for good in ["/a", "/a%20b?x=%C3%BC", "/%2e%2e/%2f", "/a?b=c+d"] {
            assert!(check_encoding(&good.parse().unwrap()).is_ok(), "{good}");
        }
        for bad in ["/%", "/%2", "/%zz", "/%%20", "/%ff", "/a?x=%c3", "/%+1"] {
            assert!(check_encoding(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }
}
