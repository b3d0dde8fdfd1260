//! The path below which an HTTP worker gets requests.

use crate::http_front;
use crate::route::{BodySchema, Route};

const NOTES: &str = "\
    Any method is passed on; some are listed. The worker sees the rest of the path and the query as they \
    were sent, and the body as a stream. It does not see `Authorization`, the cookie of the console's \
    session, headers of the connection, and headers that begin with `skep-`; `Forwarded` is the host's. \
    Its answer may have any status. It is sandboxed, since it has the console's origin: \
    `Content-Security-Policy` is `sandbox`, and `Set-Cookie`, `Clear-Site-Data`, `Alt-Svc`, \
    `Strict-Transport-Security`, `WWW-Authenticate` and other headers that a browser applies to a whole \
    origin are removed. As a script, a style, a worker or an object of a page it is refused \
    (`part_of_page_refused`). A route to a site of its own has none of these bounds. Without an answer \
    of the worker, the problem has the code `no_answer` and its `reason`: `trap`, `memory`, `limit`, \
    `exit`, `unset`, `invalid`, `instance` or `guest_error` (502), `deadline` (504), `stopped` (503). An answer that \
    ends early is cut off: the connection is reset. Too many requests at a time are `busy`. A worker of \
    another kind is `operation_unsupported`, and a request for a WebSocket `upgrade_unsupported` (501).";

pub(crate) fn routes() -> Vec<Route> {
    let below = |path: &str| {
        Route::any(
            &format!("/workers/{{worker_id}}/http{path}"),
            ("http", "Passes a request to an HTTP worker"),
            http_front::worker,
        )
    };
    vec![
        below("").hidden(),
        below("/").hidden(),
        below("/{*path}")
            .notes(NOTES)
            .takes(BodySchema::Bytes("*/*"))
            .answers(200, "The worker's answer, if 200 is its status.", BodySchema::Bytes("*/*"))
            .refuses(&[404, 409, 410, 413, 431, 500, 501, 502, 503, 504, 507]),
    ]
}
