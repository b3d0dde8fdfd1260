//! `skep:worker/web`: the export of an HTTP guest that handles whole bodies.
//!
//! Like the lifecycle hooks, it is looked for once per component: a world would require it.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use skep_protocol::text::brief;
use skep_protocol::{Failure, LimitName, Limits, NoAnswer, ProxyError};
use wasmtime::Store;
use wasmtime::component::InstancePre;
use wasmtime_wasi_http::{FieldMap, FieldMapError};

use self::bindings::exports::skep::worker::web as wit;
use super::http::answer::{GuestAnswer, Unanswered};
use super::world::World;
use crate::egress::{HttpCaller, is_ours};
use crate::limits::past::PastLimit;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package skep:host;
            world website {
                export skep:worker/web@0.1.0;
            }
        ",
        world: "skep:host/website",
        exports: { default: async },
        // A request is lowered from where it lies.
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub(crate) use wit::{Guest as Web, GuestIndices as WebIndices};

const INTERFACE: &str = "skep:worker/web@0.1.0";

/// Maximum characters of a failure's code, and of a header's name in an error.
const WORD: usize = 100;

/// Maximum characters of a failure's message.
const SENTENCE: usize = 1_000;

/// The code of the failure that says why an answer cannot be sent.
const INVALID: &str = "invalid-response";

/// Finds a component's export, if it has one.
pub(crate) fn find(pre: &InstancePre<World>) -> wasmtime::Result<Option<WebIndices>> {
    match pre.component().get_export_index(None, INTERFACE) {
        Some(_) => WebIndices::new(pre).map(Some),
        None => Ok(None),
    }
}

/// The result of a guest's function.
pub(crate) type Returned = Result<wit::Response, wit::Failure>;

/// Calls the guest with a request.
pub(crate) async fn call(
    web: &Web,
    store: &mut Store<World>,
    request: &Request<Bytes>,
) -> wasmtime::Result<Returned> {
    let uri = request.uri();
    let headers = request.headers().iter().filter(|(name, _)| !is_ours(name));
    let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let request = wit::Request {
        method: request.method().as_str(),
        scheme: uri.scheme_str().unwrap_or("http"),
        authority: uri.authority().map_or("", Authority::as_str),
        path_with_query: uri.path_and_query().map_or("/", PathAndQuery::as_str),
        headers: &headers,
        body: request.body(),
    };
    web.call_respond(store, request).await
}

/// Makes an answer of what the guest returned for a request of this method.
///
/// # Errors
/// If the answer exceeds a limit.
pub(crate) fn answer(
    returned: Returned,
    method: &Method,
    world: &mut World,
) -> Result<GuestAnswer, PastLimit> {
    let World { limits, meter, http, .. } = world;
    Ok(match returned {
        Ok(response) => match checked(response, method, limits, &mut http.caller) {
            Ok(response) => Ok(response.map(|body| {
                let body = Full::new(body).map_err(|never: Infallible| match never {});
                body.boxed_unsync()
            })),
            Err(Unsendable::Past(limit)) => return Err(limit),
            Err(Unsendable::Invalid(why)) => Err(Unanswered {
                why: NoAnswer::Invalid,
                failure: Some(Failure { code: INVALID.into(), message: why }),
            }),
        },
        Err(wit::Failure { code, message }) => Err(Unanswered {
            // A guest that has no memory left often says so, instead of trapping.
            why: match meter.memory_denied() {
                true => NoAnswer::Memory,
                false => NoAnswer::GuestError(ProxyError::INTERNAL),
            },
            failure: Some(Failure {
                code: brief(&code, WORD).into_owned(),
                message: brief(&message, SENTENCE).into_owned(),
            }),
        }),
    })
}

/// The reason that a response cannot be sent.
enum Unsendable {
    Past(PastLimit),
    Invalid(String),
}

/// Checks a response as `wasi:http` checks one while it is made, with the same code for its headers.
fn checked(
    response: wit::Response,
    method: &Method,
    limits: &Limits,
    caller: &mut HttpCaller,
) -> Result<Response<Bytes>, Unsendable> {
    let wit::Response { status, headers, body } = response;
    let is_final = |status: &StatusCode| (200..600).contains(&status.as_u16());
    let Some(status) = StatusCode::from_u16(status).ok().filter(is_final) else {
        return Err(Unsendable::Invalid(format!("the status {status} is not one from 200 to 599")));
    };
    if body.len() as u64 > limits.output_bytes {
        return Err(Unsendable::Past(PastLimit(LimitName::output_bytes)));
    }
    let bytes = usize::try_from(limits.http_header_bytes).unwrap_or(usize::MAX);
    let mut fields = FieldMap::new_mutable(bytes);
    for (name, value) in headers {
        let shown = brief(&name, WORD).into_owned();
        fields.append(caller, name, value).map_err(|error| match error {
            FieldMapError::TotalSizeTooBig | FieldMapError::TooManyFields => {
                Unsendable::Past(PastLimit(LimitName::http_header_bytes))
            }
            FieldMapError::Forbidden => {
                Unsendable::Invalid(format!("the header {shown:?} is set by the host"))
            }
            FieldMapError::InvalidHeaderName => {
                Unsendable::Invalid(format!("{shown:?} is not a header name"))
            }
            _ => Unsendable::Invalid(format!("the value of the header {shown:?} is not valid")),
        })?;
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = fields.into();
    let length = response.body().len();
    let declared = response.headers().get(CONTENT_LENGTH);
    // Without a body, it is the length of the one that a GET would get.
    let is_headless =
        length == 0 && (*method == Method::HEAD || status == StatusCode::NOT_MODIFIED);
    match declared {
        Some(declared) if !is_headless && declared.as_bytes() != length.to_string().as_bytes() => {
            Err(Unsendable::Invalid(format!(
                "its content-length is not the length of its body, which is {length} bytes"
            )))
        }
        _ => Ok(response),
    }
}
