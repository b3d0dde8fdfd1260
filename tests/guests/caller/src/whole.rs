//! Requests with whole bodies, by `skep:worker/fetch`.

use skep::worker::fetch::{Error, Request, Response, send};

use crate::exchange::Asked;

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package skep:caller;

        world fetcher {
            import skep:worker/fetch@0.1.0;
        }
    ",
    world: "skep:caller/fetcher",
    generate_all,
});

/// Sends a request with a body of the letter `x`.
pub fn fetch(asked: &Asked<'_>) -> Result<Response, Error> {
    send(&Request {
        method: asked.method.to_owned(),
        url: asked.whole_url(),
        headers: asked.headers.clone(),
        body: vec![b'x'; asked.body.unwrap_or_default() as usize],
        timeout_ms: asked.patience_ms.map(|millis| millis as u32),
    })
}

/// Formats a response like that of `get`.
pub fn show(response: Result<Response, Error>) -> String {
    match response {
        Err(error) => format!("error {error:?}"),
        Ok(Response { status, headers, body }) => {
            let headers: String =
                headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            format!("status {status}\n{headers}\n{}", String::from_utf8_lossy(&body))
        }
    }
}

/// Formats only the length of the body.
pub fn measure(response: Result<Response, Error>) -> String {
    match response {
        Err(error) => format!("error {error:?}"),
        Ok(Response { status, body, .. }) => format!("status {status} received {}", body.len()),
    }
}
