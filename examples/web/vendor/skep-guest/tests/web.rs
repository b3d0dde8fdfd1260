//! An HTTP worker by the attribute, on the double of the host.
#![cfg(not(target_family = "wasm"))]

use skep_guest::web::{Request, Response, form_pairs};
use skep_guest::{Failure, context, state, testing, transcript};

/// An error of the author's own, which becomes a failure.
struct Refused;

impl From<Refused> for Failure {
    fn from(_: Refused) -> Self {
        Self::new("refused", "the path is not known")
    }
}

#[skep_guest::web]
fn site(request: Request) -> Result<Response, Refused> {
    assert_eq!(context::input_id(), None);
    match request.path() {
        "/echo" => Ok(Response::new(201, request.body).header("x-a", "b")),
        "/write" => {
            state::set("key", request.query().unwrap_or_default()).expect("it is writable");
            transcript::emit_text("wrote", "it").expect("it is valid");
            if request.header("X-Fail").is_some() { Err(Refused) } else { Ok(Response::html("ok")) }
        }
        "/panic" => {
            state::set("key", "lost").expect("it is writable");
            panic!("the request asked for it");
        }
        _ => Err(Refused),
    }
}

#[test]
fn a_request_and_its_response_are_whole() {
    let answer = testing::respond(site, Request::post("/echo?x", vec![0, 255])).unwrap();
    assert_eq!((answer.status, answer.body), (201, vec![0, 255]));
    assert_eq!(answer.headers, [("x-a".to_owned(), b"b".to_vec())]);
    let refused = testing::respond(site, Request::get("/")).unwrap_err();
    assert_eq!(refused.code, "refused");
}

#[test]
fn a_request_that_fails_leaves_the_state_and_keeps_its_events() {
    let write = |query: &str| Request::get(format!("/write?{query}"));
    testing::respond(site, write("one")).unwrap();
    let failing = write("two").with_header("X-FAIL", "1");
    assert_eq!(testing::respond(site, failing).unwrap_err().code, "refused");
    assert!(std::panic::catch_unwind(|| testing::respond(site, Request::get("/panic"))).is_err());
    assert_eq!(testing::state()["key"], b"one");
    assert_eq!(testing::events().len(), 2);
}

#[test]
fn parts_of_a_request() {
    let mut request = Request::get("/a/b?q=%C3%BC+x&empty&r=%zz%");
    request.headers.push(("x-bytes".into(), vec![0xff]));
    assert_eq!((request.path(), request.query()), ("/a/b", Some("q=%C3%BC+x&empty&r=%zz%")));
    let pairs = request.query_pairs();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("q", "ü x"), ("empty", ""), ("r", "%zz%")]);
    assert_eq!(request.header("x-bytes"), None);
    assert_eq!(
        form_pairs("a=%ff&&b=1=2"),
        [("a".to_owned(), "\u{fffd}".to_owned()), ("b".to_owned(), "1=2".to_owned()),]
    );
    assert_eq!(Request::post("/", *b"\xff").text().unwrap_err().code, "not-text");
}
