//! `requester AUTHORITY PATH VARIABLE`: sends a GET over plain HTTP with the value of the variable in the
//! header `authorization`, and prints the value, the status and the body.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [authority, path, variable] = &words[..] else { panic!("AUTHORITY PATH VARIABLE") };
    let value = std::env::var(variable).unwrap_or_default();
    println!("value {value}");
    let headers = Fields::new();
    headers.append("authorization", value.as_bytes()).expect("the value is a header");
    let request = OutgoingRequest::new(headers);
    request.set_scheme(Some(&Scheme::Http)).expect("http is a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some(path)).expect("a path");
    let future = match handle(request, None) {
        Ok(future) => future,
        Err(error) => return println!("error {error:?}"),
    };
    let answer = loop {
        match future.get() {
            Some(answer) => break answer.expect("not taken before"),
            None => future.subscribe().block(),
        }
    };
    match answer {
        Ok(answer) => {
            println!("status {}", answer.status());
            let body = answer.consume().expect("not taken before");
            let stream = body.stream().expect("not taken before");
            while let Ok(chunk) = stream.blocking_read(64 << 10) {
                println!("{}", String::from_utf8_lossy(&chunk));
            }
        }
        Err(error) => println!("error {error:?}"),
    }
}
