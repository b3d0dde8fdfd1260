//! Routes for login and logout with a browser.
//!
//! A session is a cookie that scripts cannot read and other sites cannot send. A login link has its
//! code in the fragment, which browsers do not send; the page's script posts it once.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use skep_protocol::{Error, Login, Me, Role};
use skep_registry::Caller;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::credential::{COOKIE_NAME, Credential};
use crate::incoming_body::IncomingBody;
use crate::path::RequestCaller;
use crate::refusal::HandlerResult;
use crate::route::{BodySchema, Route, json};
use crate::server::ConnectionInfo;

/// Lifetime of a session in the registry, in seconds.
const AGE_S: u32 = 12 * 60 * 60;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/login", ("login", "Exchanges a token or login code for a cookie"), login)
            .open()
            .takes(json::<Login>())
            .answers(200, "The caller.", json::<Me>())
            .refuses(&[401, 403, 429, 503]),
        Route::post("/api/logout", ("logout", "Ends the session and clears its cookie"), logout)
            .needs(Role::Viewer)
            .answers(204, "Logged out.", BodySchema::Empty),
        Route::get("/api/me", ("me", "Returns the caller"), me).answers(
            200,
            "The caller.",
            json::<Me>(),
        ),
        Route::get("/api/openapi.json", ("openapi", "Returns this document"), document).answers(
            200,
            "The document.",
            json::<serde_json::Map<String, serde_json::Value>>(),
        ),
    ]
}

fn shown(caller: Caller) -> Json<Me> {
    let Caller { token_id, role, runtimes, .. } = caller;
    let runtimes = runtimes.map(|runtimes| runtimes.into_iter().collect());
    Json(Me { token_id, role, runtimes })
}

async fn login(
    State(app): State<App>,
    Extension(link): Extension<Arc<ConnectionInfo>>,
    body: IncomingBody,
) -> HandlerResult<([(HeaderName, HeaderValue); 1], Json<Me>)> {
    let secure = of_tls(&body.headers);
    let login = body.unauthenticated_json(|bytes| serde_json::from_slice::<Login>(bytes)).await?;
    let (Login::Token(secret) | Login::Code(secret)) = login;
    let (access, peer) = (app.registry.access().clone(), link.peer.ip());
    let (session, caller) = on_disk(move || access.login(peer, &secret)).await?;
    Ok(([(SET_COOKIE, cookie(session.expose(), AGE_S, secure)?)], shown(caller)))
}

/// Maximum number of threads that wait for the disk or the fleet. Other work needs such threads too.
const WAITING: usize = 64;

/// Runs work that waits for the disk, or for the fleet, on a blocking thread.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    static THREADS: Semaphore = Semaphore::const_new(WAITING);
    // It is never closed.
    let thread = THREADS.acquire().await;
    let work = move || {
        // The thread goes on when its caller has gone.
        let _thread = thread;
        work()
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Internal))
}

/// Returns true if the page was served over TLS, by a proxy in front of this server.
fn of_tls(headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

fn cookie(value: &str, age_s: u32, secure: bool) -> Result<HeaderValue, Error> {
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE_NAME}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age_s}{secure}"
    );
    let mut cookie = HeaderValue::from_str(&cookie).map_err(|_| Error::Internal)?;
    cookie.set_sensitive(true);
    Ok(cookie)
}

async fn logout(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    headers: HeaderMap,
) -> HandlerResult<(StatusCode, [(HeaderName, HeaderValue); 1])> {
    if let Credential::Session(session) = credential {
        let access = app.registry.access().clone();
        on_disk(move || access.logout(&session)).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie("", 0, of_tls(&headers))?)]))
}

async fn me(RequestCaller(caller): RequestCaller) -> Json<Me> {
    shown(caller)
}

async fn document(State(app): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], app.document.clone())
}
