//! The front of HTTP workers: what lies between a client's connection and a worker's handler.
//!
//! A worker gets an absolute URI and the headers of its client, without those of the connection and
//! those that are ours. The client gets the worker's answer, without those headers, or a problem.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, FORWARDED, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, Version};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use skep_protocol::http_hop::{AUTHORITY, FROM, FROM_WORKER, SCHEME, TARGET};
use skep_protocol::{BodyCut, Error, HttpAnswer, HttpRequest, NoAnswer};

use crate::app::{App, Surface};
use crate::credential::COOKIE_NAME;
use crate::head_size::check_size;
use crate::hop_by_hop::remove_hop_by_hop;
use crate::path::AddressedRuntime;
use crate::refusal::{HandlerResult, ProblemResponse};
use crate::server::ConnectionInfo;

/// The beginning of the headers that only Skep sets.
const OURS: &str = "skep-";

/// Handles the requests of a front.
#[async_trait]
pub trait HttpService: Send + Sync + 'static {
    /// Handles a request. Dropping the future or the body of the answer ends the handler.
    async fn respond(&self, request: HttpRequest) -> Result<HttpAnswer, Error>;
}

/// Builds a front that passes all requests to one service.
pub fn http_router(service: Arc<dyn HttpService>) -> Router {
    Router::new().fallback(respond).with_state(service)
}

async fn respond(State(service): State<Arc<dyn HttpService>>, request: Request) -> Response {
    let request = match worker_request(request, Scheme::HTTP) {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    client_response(service.respond(request).await)
}

/// Headers of an answer that a browser applies to the whole origin, which is the console's, or to more
/// than this answer.
const OF_THE_ORIGIN: [&str; 17] = [
    "set-cookie",
    "set-cookie2",
    "clear-site-data",
    "alt-svc",
    "service-worker-allowed",
    "strict-transport-security",
    "public-key-pins",
    "nel",
    "report-to",
    "reporting-endpoints",
    "www-authenticate",
    "use-as-dictionary",
    "accept-ch",
    "critical-ch",
    "origin-agent-cluster",
    "speculation-rules",
    "access-control-allow-credentials",
];

/// Values of `Sec-Fetch-Dest` that load an answer as part of a page. They are refused, because the
/// console's policy allows scripts of its own origin.
const PARTS_OF_PAGES: [&str; 10] = [
    "script",
    "style",
    "worker",
    "sharedworker",
    "serviceworker",
    "audioworklet",
    "paintworklet",
    "object",
    "embed",
    "manifest",
];

/// Marks a response that a worker made. The gate seals it otherwise than one of ours.
#[derive(Clone, Copy)]
pub(crate) struct WorkerAnswer;

/// Passes a request below a worker's path to the worker. Its credential is ours and stays here; the rest
/// of the path is what the worker sees.
pub(crate) async fn worker(
    State(app): State<App>,
    target: AddressedRuntime,
    request: Request,
) -> HandlerResult<Response> {
    let worker = target.worker()?;
    let browser = app.surface == Surface::Browser;
    let mut request = below(request, if browser { 6 } else { 4 })?;
    let scheme = match browser {
        true => {
            refuse_subresource(request.headers())?;
            request.headers_mut().remove(AUTHORIZATION);
            remove_session(request.headers_mut());
            Scheme::HTTP
        }
        false => asked_of_a_registry(&mut request)?,
    };
    let forwarded = request.headers().get(FORWARDED).cloned();
    let mut request = worker_request(request, scheme)?;
    if let (false, Some(forwarded)) = (browser, forwarded) {
        // The registry has seen the client.
        request.headers_mut().insert(FORWARDED, forwarded);
    }
    let answer = match target.runtime.http(worker, request).await {
        Ok(answer) => answer,
        // A problem of ours.
        Err(error) => return Ok(client_response(Err(error))),
    };
    let mut response = client_response(Ok(answer));
    response.extensions_mut().insert(WorkerAnswer);
    let headers = response.headers_mut();
    if browser {
        for name in OF_THE_ORIGIN {
            headers.remove(name);
        }
    } else {
        headers.insert(FROM, HeaderValue::from_static(FROM_WORKER));
    }
    Ok(response)
}

/// Cuts the first segments off the path of a request.
fn below(mut request: Request, segments: usize) -> HandlerResult<Request> {
    let (path, query) = (request.uri().path(), request.uri().query());
    let rest = path.match_indices('/').nth(segments).map_or("/", |(at, _)| &path[at..]);
    let target = match query {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    set_target(&mut request, &target)?;
    Ok(request)
}

/// Sets the path and the query of a request.
fn set_target(request: &mut Request, target: &str) -> HandlerResult<()> {
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(target.parse().map_err(|_| ProblemResponse::malformed_url())?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| ProblemResponse::malformed_url())?;
    Ok(())
}

/// Refuses to be a part of the console's pages.
fn refuse_subresource(headers: &HeaderMap) -> HandlerResult<()> {
    let destination = headers.get("sec-fetch-dest").and_then(|value| value.to_str().ok());
    let is_part = destination
        .is_some_and(|wanted| PARTS_OF_PAGES.iter().any(|part| part.eq_ignore_ascii_case(wanted)));
    match is_part || headers.contains_key("service-worker") {
        true => Err(ProblemResponse::no_part_of_page()),
        false => Ok(()),
    }
}

/// Takes what a registry says about its client's request.
fn asked_of_a_registry(request: &mut Request) -> HandlerResult<Scheme> {
    let headers = request.headers_mut();
    headers.remove(AUTHORIZATION);
    let scheme = match headers.remove(SCHEME) {
        Some(scheme) if scheme == "https" => Scheme::HTTPS,
        _ => Scheme::HTTP,
    };
    let target = headers.remove(TARGET);
    if let Some(authority) = headers.remove(AUTHORITY) {
        headers.insert(HOST, authority);
        let mut parts = axum::http::uri::Parts::default();
        parts.path_and_query = request.uri().path_and_query().cloned();
        *request.uri_mut() =
            Uri::from_parts(parts).map_err(|_| ProblemResponse::malformed_url())?;
    }
    if let Some(target) = target {
        let target = target.to_str().map_err(|_| ProblemResponse::malformed_url())?;
        set_target(request, target)?;
    }
    Ok(scheme)
}

/// Removes the console's session from the cookies.
fn remove_session(headers: &mut HeaderMap) {
    let kept: Vec<String> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .map(str::trim)
        .filter(|cookie| {
            let name = cookie.split('=').next().unwrap_or_default().trim();
            !name.is_empty() && name != COOKIE_NAME
        })
        .map(str::to_owned)
        .collect();
    headers.remove(COOKIE);
    if let Ok(kept) = HeaderValue::try_from(kept.join("; "))
        && !kept.is_empty()
    {
        headers.insert(COOKIE, kept);
    }
}

/// Turns a client's request into a worker's.
pub(crate) fn worker_request(mut request: Request, scheme: Scheme) -> HandlerResult<HttpRequest> {
    check_size(request.uri(), request.headers())?;
    if *request.method() == Method::CONNECT {
        return Err(ProblemResponse::no_tunnel());
    }
    // A client that would rather speak HTTP/2 goes on without.
    let wants_other = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"h2c");
    if request.headers().get_all(UPGRADE).iter().any(wants_other) {
        return Err(ProblemResponse::no_upgrade());
    }
    let peer = request.extensions().get::<Arc<ConnectionInfo>>().map(|link| link.peer);
    let authority = authority(&request)?;
    let target = request.uri().path_and_query().cloned();
    let target = target.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme(scheme.clone()).authority(authority.clone());
    *request.uri_mut() =
        uri.path_and_query(target).build().map_err(|_| ProblemResponse::malformed_url())?;
    let headers = request.headers_mut();
    if headers.contains_key(TRANSFER_ENCODING) {
        // The length that a chunked body says is not its own.
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
    remove_ours(headers);
    let host = HeaderValue::try_from(authority.as_str());
    headers.insert(HOST, host.map_err(|_| ProblemResponse::bad_host())?);
    headers.remove(FORWARDED);
    if let Some(forwarded) = peer.and_then(|peer| forwarded(peer, &scheme)) {
        headers.insert(FORWARDED, forwarded);
    }
    Ok(request.map(|body| body.map_err(|_| BodyCut).boxed_unsync()))
}

/// Turns a worker's answer into a response.
pub(crate) fn client_response(answer: Result<HttpAnswer, Error>) -> Response {
    let answer = answer.and_then(|answer| match answer.status().is_informational() {
        true => Err(NoAnswer::Invalid.into()),
        false => Ok(answer),
    });
    match answer {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            remove_hop_by_hop(&mut parts.headers);
            remove_ours(&mut parts.headers);
            // The server chooses how to frame the body.
            parts.version = Version::default();
            Response::from_parts(parts, Body::new(body))
        }
        Err(error) => {
            let status = match &error {
                Error::NoAnswer(NoAnswer::GuestError(error)) => {
                    HeaderValue::try_from(format!("skep; error={error}")).ok()
                }
                _ => None,
            };
            let mut response = ProblemResponse::from(error).into_response();
            if let Some(status) = status {
                response.headers_mut().insert("proxy-status", status);
            }
            response
        }
    }
}

/// Returns the host and port that a request is for. The target decides; the header must agree.
fn authority(request: &Request) -> HandlerResult<Authority> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(ProblemResponse::bad_host());
    }
    let of_header = host.map(|host| {
        let host = host.to_str().map_err(|_| ProblemResponse::bad_host())?;
        host.parse::<Authority>().map_err(|_| ProblemResponse::bad_host())
    });
    let of_header = of_header.transpose()?;
    let authority = match (request.uri().authority(), of_header) {
        (Some(of_target), Some(of_header)) if *of_target != of_header => {
            return Err(ProblemResponse::bad_host());
        }
        (Some(of_target), _) => of_target.clone(),
        (None, Some(of_header)) => of_header,
        (None, None) => return Err(ProblemResponse::bad_host()),
    };
    // The part before an `@` is no part of a host.
    match authority.as_str().contains('@') {
        true => Err(ProblemResponse::bad_host()),
        false => Ok(authority),
    }
}

fn remove_ours(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| name.as_str().starts_with(OURS)) {
        return;
    }
    let ours: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(OURS)).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

/// Returns the header of RFC 7239 that names the client.
fn forwarded(peer: SocketAddr, scheme: &Scheme) -> Option<HeaderValue> {
    let text = match peer {
        SocketAddr::V4(peer) => format!("for={};proto={scheme}", peer.ip()),
        SocketAddr::V6(peer) => format!("for=\"[{}]\";proto={scheme}", peer.ip()),
    };
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.parse().unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_worker_sees_an_absolute_uri_and_no_header_of_the_connection_or_of_ours() {
        let request = request(
            "/a%20b?c=d",
            &[
                ("host", "shop.example:8080"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("skep-from", "worker"),
                ("forwarded", "for=1.2.3.4"),
                ("accept", "*/*"),
            ],
        );
        let seen = worker_request(request, Scheme::HTTP).unwrap();
        assert_eq!(seen.uri().to_string(), "http://shop.example:8080/a%20b?c=d");
        let names: Vec<_> = seen.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["host", "accept"]);
    }

    #[test]
    fn the_path_below_a_worker_is_cut_out_of_the_path_alone() {
        for (target, expected) in [
            ("/v1/workers/w/http", "/"),
            ("/v1/workers/w/http/", "/"),
            ("/v1/workers/w/http/a/b?c=/d", "/a/b?c=/d"),
            ("/v1/workers/w/http?next=/admin", "/?next=/admin"),
            ("/v1/workers/w/http//a", "//a"),
        ] {
            let below = below(request(target, &[("host", "a")]), 4).unwrap();
            assert_eq!(below.uri().to_string(), expected, "{target}");
        }
    }

    #[test]
    fn an_answer_is_no_part_of_a_page_of_the_console() {
        for (name, value) in [
            ("sec-fetch-dest", "script"),
            ("sec-fetch-dest", "Style"),
            ("service-worker", "script"),
        ] {
            let request = request("/", &[(name, value)]);
            assert!(refuse_subresource(request.headers()).is_err(), "{value}");
        }
        for value in ["document", "empty", "image", "iframe"] {
            let request = request("/", &[("sec-fetch-dest", value)]);
            assert!(refuse_subresource(request.headers()).is_ok(), "{value}");
        }
    }

    #[test]
    fn a_request_without_one_clear_host_is_refused() {
        for (uri, headers) in [
            ("/", &[][..]),
            ("/", &[("host", "a"), ("host", "b")]),
            ("/", &[("host", "a b")]),
            ("/", &[("host", "me@a")]),
            ("http://a/", &[("host", "b")]),
            ("http://me@a/", &[]),
        ] {
            let refused = worker_request(request(uri, headers), Scheme::HTTP).unwrap_err();
            assert_eq!(refused.into_response().status(), StatusCode::BAD_REQUEST, "{uri}");
        }
        assert!(worker_request(request("http://a/", &[("host", "a")]), Scheme::HTTP).is_ok());
        assert!(worker_request(request("http://a/", &[]), Scheme::HTTP).is_ok());
    }

    #[test]
    fn upgrades_and_tunnels_are_refused() {
        let upgrade = request("/", &[("host", "a"), ("upgrade", "websocket")]);
        let refused = worker_request(upgrade, Scheme::HTTP).unwrap_err();
        assert_eq!(refused.into_response().status(), StatusCode::NOT_IMPLEMENTED);
        let mut tunnel = request("/", &[("host", "a")]);
        *tunnel.method_mut() = Method::CONNECT;
        let refused = worker_request(tunnel, Scheme::HTTP).unwrap_err();
        assert_eq!(refused.into_response().status(), StatusCode::NOT_IMPLEMENTED);
    }

    #[test]
    fn an_informational_answer_is_no_answer() {
        let mut answer =
            HttpAnswer::new(http_body_util::Empty::new().map_err(|_| BodyCut).boxed_unsync());
        *answer.status_mut() = StatusCode::CONTINUE;
        assert_eq!(client_response(Ok(answer)).status(), StatusCode::BAD_GATEWAY);
    }
}
