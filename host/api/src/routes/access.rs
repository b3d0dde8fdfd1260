//! Routes for tokens and sessions.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_protocol::{CreateToken, CreatedToken, Listing, Role, SessionView, TokenView};

use super::session::on_disk;
use crate::app::App;
use crate::incoming_body::IncomingBody;
use crate::page::whole;
use crate::path::{PathParams, RequestCaller};
use crate::refusal::HandlerResult;
use crate::route::{BodySchema, Route, json};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/tokens", ("listTokens", "Lists all tokens, oldest first"), tokens)
            .needs(Role::Admin)
            .answers(200, "The tokens, also those that have ended.", json::<Listing<TokenView>>()),
        Route::post("/api/tokens", ("createToken", "Creates a token, which is shown once"), create)
            .needs(Role::Admin)
            .takes(json::<CreateToken>())
            .answers(201, "Created.", json::<CreatedToken>()),
        Route::delete(
            "/api/tokens/{token_id}",
            ("revokeToken", "Revokes a token and ends the sessions that it started"),
            revoke,
        )
        .needs(Role::Admin)
        .answers(204, "Revoked.", BodySchema::Empty)
        .refuses(&[404]),
        Route::get(
            "/api/sessions",
            (
                "listSessions",
                "Lists valid sessions, newest first: all for admins, and those of their own token \
                 for others",
            ),
            sessions,
        )
        .answers(200, "The sessions.", json::<Listing<SessionView>>()),
        Route::delete(
            "/api/sessions/{session_id}",
            ("endSession", "Ends a session: any for admins, and one of their own token for others"),
            end,
        )
        .needs(Role::Viewer)
        .answers(204, "Ended.", BodySchema::Empty)
        .refuses(&[404]),
    ]
}

async fn tokens(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
) -> HandlerResult<Json<Listing<TokenView>>> {
    Ok(Json(whole(on_disk(move || app.registry.tokens(&caller)).await?)))
}

async fn create(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    body: IncomingBody,
) -> HandlerResult<(StatusCode, Json<CreatedToken>)> {
    let new = body.json(|bytes| serde_json::from_slice::<CreateToken>(bytes)).await?;
    let created = on_disk(move || app.registry.create_token(&caller, new)).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

async fn revoke(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    names: PathParams,
) -> HandlerResult<StatusCode> {
    let token = names.token()?;
    on_disk(move || app.registry.revoke_token(&caller, &token)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sessions(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
) -> HandlerResult<Json<Listing<SessionView>>> {
    Ok(Json(whole(on_disk(move || app.registry.sessions(&caller)).await?)))
}

async fn end(
    State(app): State<App>,
    RequestCaller(caller): RequestCaller,
    names: PathParams,
) -> HandlerResult<StatusCode> {
    let session = names.session()?;
    on_disk(move || app.registry.end_session(&caller, &session)).await?;
    Ok(StatusCode::NO_CONTENT)
}
