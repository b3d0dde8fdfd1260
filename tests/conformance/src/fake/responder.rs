//! The guest `responder`, as far as the suite uses it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use skep_protocol::{BodyCut, Error, HttpAnswer, HttpBody, HttpRequest, NoAnswer};

/// Does what the path says: `/COMMAND/ARGUMENT`.
pub(super) fn respond(request: HttpRequest) -> Result<HttpAnswer, Error> {
    let path = request.uri().path().to_owned();
    let (command, argument) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    match command {
        "" | "hello" => Ok(text(StatusCode::OK, "hello\n".into())),
        "status" => {
            let status = argument.parse::<StatusCode>().map_err(|_| NoAnswer::Trap)?;
            Ok(text(status, "as you wish\n".into()))
        }
        "headers" => {
            let line = |(name, value): (_, &HeaderValue)| {
                format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
            };
            Ok(text(StatusCode::OK, request.headers().iter().map(line).collect()))
        }
        "target" => {
            let (authority, target) = (request.uri().authority(), request.uri().path_and_query());
            let authority = authority.map(|authority| authority.as_str());
            let target = target.map(|target| target.as_str());
            Ok(text(StatusCode::OK, format!("{authority:?} {target:?}\n")))
        }
        "echo" => Ok(Response::new(request.into_body())),
        "trailers" => Ok(with_a_sum()),
        "trap" => Err(NoAnswer::Trap.into()),
        _ => Ok(text(StatusCode::NOT_FOUND, "no such command\n".into())),
    }
}

fn text(status: StatusCode, text: String) -> HttpAnswer {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let answer = Response::builder().status(status).header("content-type", "text/plain");
    answer.body(body).expect("the head is valid")
}

fn with_a_sum() -> HttpAnswer {
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-sum"),
        HeaderValue::from_static("10"),
    )]);
    let frames = [Frame::data(Bytes::from("with a sum")), Frame::trailers(trailers)];
    let frames = futures_util::stream::iter(frames.map(Ok::<_, BodyCut>));
    let body: HttpBody = StreamBody::new(frames).boxed_unsync();
    Response::builder().header("trailer", "x-sum").body(body).expect("the head is valid")
}
