//! Logging in and out with a browser, and the page for it.
//!
//! A session is a cookie that scripts cannot read and other sites' pages cannot send. A login link
//! has its code in the fragment, which browsers keep to themselves; the page's script sends it once.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use skep_protocol::{Error, Login, Me};
use skep_registry::Caller;

use crate::App;
use crate::credential::{COOKIE_NAME, Credential};
use crate::place::Asking;
use crate::refusal::{Answer, let_in};
use crate::route::{Content, Route, json};
use crate::server::Link;
use crate::upload::Upload;

/// As long as the registry keeps a session, in seconds.
const AGE_S: u32 = 12 * 60 * 60;

/// What the login page may do: load its own two files and talk to this host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

pub(crate) fn routes() -> Vec<Route> {
    let page = |path: &str, media, text| {
        let header = [(CONTENT_TYPE, media), (CONTENT_SECURITY_POLICY, POLICY)];
        let answer = move || async move { (header, text) };
        Route::get(path, ("page", "A part of the login page"), answer).open().hidden()
    };
    vec![
        Route::post("/api/login", ("login", "Trades a token or a login code for a cookie"), login)
            .open()
            .takes(json::<Login>())
            .answers(200, "Who the caller is now.", json::<Me>())
            .refuses(&[401, 403, 429, 503]),
        Route::post(
            "/api/logout",
            ("logout", "Ends the session and takes its cookie away"),
            logout,
        )
        .answers(204, "It is ended.", Content::Empty),
        Route::get("/api/me", ("me", "Who the caller is"), me).answers(
            200,
            "Who the caller is.",
            json::<Me>(),
        ),
        Route::get("/api/openapi.json", ("openapi", "This document"), document).answers(
            200,
            "The document.",
            json::<serde_json::Map<String, serde_json::Value>>(),
        ),
        Route::get("/", ("root", "Leads to the login page"), root).open().hidden(),
        page("/login", "text/html; charset=utf-8", include_str!("../login/page.html")),
        page("/login.js", "text/javascript; charset=utf-8", include_str!("../login/login.js")),
        page("/login.css", "text/css; charset=utf-8", include_str!("../login/login.css")),
    ]
}

fn shown(caller: Caller) -> Json<Me> {
    let Caller { token_id, role, runtimes } = caller;
    let runtimes = runtimes.map(|runtimes| runtimes.into_iter().collect());
    Json(Me { token_id, role, runtimes })
}

async fn login(
    State(app): State<App>,
    Extension(link): Extension<Arc<Link>>,
    upload: Upload,
) -> Answer<([(HeaderName, HeaderValue); 1], Json<Me>)> {
    let secure = of_tls(&upload.headers);
    let login = upload.json_of_a_stranger(|bytes| serde_json::from_slice::<Login>(bytes)).await?;
    let (Login::Token(secret) | Login::Code(secret)) = login;
    let (access, peer) = (app.registry.access().clone(), link.peer.ip());
    let (session, caller) = let_in(on_disk(move || access.login(peer, &secret)).await)?;
    Ok(([(SET_COOKIE, cookie(session.expose(), AGE_S, secure)?)], shown(caller)))
}

/// Does what waits for the disk where waiting harms nobody.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Internal))
}

/// Whether the page came by TLS, from a proxy before this server.
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
) -> Answer<(StatusCode, [(HeaderName, HeaderValue); 1])> {
    if let Credential::Session(session) = credential {
        let access = app.registry.access().clone();
        on_disk(move || access.logout(&session)).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie("", 0, of_tls(&headers))?)]))
}

async fn me(Asking(caller): Asking) -> Json<Me> {
    shown(caller)
}

async fn document(State(app): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], app.document.clone())
}

async fn root() -> impl IntoResponse {
    (StatusCode::SEE_OTHER, [(LOCATION, "/login")])
}
