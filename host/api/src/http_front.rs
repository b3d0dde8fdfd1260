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
use axum::http::header::{AUTHORIZATION, COOKIE, FORWARDED, HOST, HeaderName, SET_COOKIE};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, Version};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use skep_protocol::http_hop::{AUTHORITY, FROM, FROM_WORKER, SCHEME};
use skep_protocol::{BodyCut, Error, HttpAnswer, HttpRequest, NoAnswer};

use crate::app::{App, Surface};
use crate::credential::COOKIE_NAME;
use crate::hop_by_hop::remove_hop_by_hop;
use crate::path::AddressedRuntime;
use crate::refusal::{HandlerResult, ProblemResponse};
use crate::server::ConnectionInfo;

/// The beginning of the headers that only Skep sets.
const OURS: &str = "skep-";

/// Maximum size of the header fields, in bytes.
const HEADER_BYTES: usize = 32 << 10;

/// Maximum number of header fields.
const HEADER_FIELDS: usize = 100;

/// Maximum size of path and query together, in bytes.
const URI_BYTES: usize = 16 << 10;

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
    let mut request = below(request, if browser { 6 } else { 4 });
    let scheme = match browser {
        true => {
            if request.headers().contains_key("service-worker") {
                return Err(ProblemResponse::no_service_worker());
            }
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
    let mut response = client_response(Ok(target.runtime.http(worker, request).await?));
    response.extensions_mut().insert(WorkerAnswer);
    let headers = response.headers_mut();
    if browser {
        // They would act on the console, which has the same origin.
        for name in [SET_COOKIE.as_str(), "clear-site-data", "alt-svc", "service-worker-allowed"] {
            headers.remove(name);
        }
    } else {
        headers.insert(FROM, HeaderValue::from_static(FROM_WORKER));
    }
    Ok(response)
}

/// Cuts the first segments off the path of a request.
fn below(mut request: Request, segments: usize) -> Request {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut slashes = target.match_indices('/').map(|(at, _)| at);
    let rest = slashes.nth(segments).map_or_else(
        || {
            let query = target.find('?').map_or("", |at| &target[at..]);
            format!("/{query}")
        },
        |at| target[at..].to_owned(),
    );
    let authority = request.uri().authority().cloned();
    let scheme = request.uri().scheme().cloned();
    let mut parts = axum::http::uri::Parts::default();
    // A part of a valid target is a valid target.
    parts.path_and_query = rest.parse().ok();
    (parts.authority, parts.scheme) = (authority, scheme);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// Takes what a registry says about its client's request.
fn asked_of_a_registry(request: &mut Request) -> HandlerResult<Scheme> {
    let headers = request.headers_mut();
    headers.remove(AUTHORIZATION);
    let scheme = match headers.remove(SCHEME) {
        Some(scheme) if scheme == "https" => Scheme::HTTPS,
        _ => Scheme::HTTP,
    };
    if let Some(authority) = headers.remove(AUTHORITY) {
        headers.insert(HOST, authority);
        let mut parts = axum::http::uri::Parts::default();
        parts.path_and_query = request.uri().path_and_query().cloned();
        *request.uri_mut() =
            Uri::from_parts(parts).map_err(|_| ProblemResponse::malformed_url())?;
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
    if request.headers().contains_key("upgrade") {
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
    remove_hop_by_hop(headers);
    remove_ours(headers);
    headers.insert(HOST, HeaderValue::try_from(authority.as_str()).expect("an authority is ASCII"));
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

fn check_size(uri: &Uri, headers: &HeaderMap) -> HandlerResult<()> {
    if uri.path_and_query().is_some_and(|path| path.as_str().len() > URI_BYTES) {
        return Err(ProblemResponse::uri_too_long());
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES || headers.len() > HEADER_FIELDS {
        return Err(ProblemResponse::header_too_large());
    }
    Ok(())
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
