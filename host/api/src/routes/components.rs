//! Routes for components.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::json_schema;
use skep_protocol::{ComponentCheck, ComponentView, Error, Invalid, LimitName, Listing, Role};

use crate::app::{App, Surface};
use crate::incoming_body::IncomingBody;
use crate::path::AddressedRuntime;
use crate::query::Query;
use crate::refusal::HandlerResult;
use crate::route::{BodySchema, Route, json, stored};

/// The header in which a registry forwards the role of its own caller.
const ROLE: &str = "skep-role";

/// The content of an answer with status 200 to an upload.
const STORED_OR_CHECKED: BodySchema = BodySchema::Json(|all| {
    let (stored, checked) =
        (all.subschema_for::<ComponentView>(), all.subschema_for::<ComponentCheck>());
    json_schema!({ "anyOf": [stored, checked] })
});

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/components", ("listComponents", "Lists components, by digest"), list)
            .query::<String>("cursor", "Cursor of the previous page.")
            .answers(200, "The components.", json::<Listing<ComponentView>>()),
        Route::post(
            "/components",
            ("putComponent", "Stores a component: the body is the wasm file"),
            put,
        )
        .query::<u64>("check", "1 to examine the component without storing it.")
        .takes(BodySchema::Bytes("application/octet-stream"))
        .answers(201, "Stored.", json::<ComponentView>())
        .answers(200, "Already stored; or the result of the examination.", STORED_OR_CHECKED)
        .refuses(&[422]),
        Route::get("/components/{digest}", ("getComponent", "Returns a component"), get).answers(
            200,
            "The component.",
            json::<ComponentView>(),
        ),
        Route::delete(
            "/components/{digest}",
            ("removeComponent", "Removes a component that no worker uses"),
            remove,
        )
        .answers(204, "Removed.", BodySchema::Empty),
    ]
}

async fn list(
    target: AddressedRuntime,
    query: Query,
) -> HandlerResult<Json<Listing<ComponentView>>> {
    let page = target.runtime.components(query.text("cursor")?).await?;
    Ok(Json(crate::page::listing(page)))
}

async fn put(
    State(app): State<App>,
    target: AddressedRuntime,
    query: Query,
    body: IncomingBody,
) -> HandlerResult<Response> {
    let by = forwarded_role(&app, &body.headers)?;
    let is_check = match query.number("check")? {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(Error::from(Invalid::Query).into()),
    };
    let wasm = body.stream(Some((LimitName::component_bytes, app.limits.component_bytes)))?;
    Ok(match is_check {
        true => Json(target.runtime.check_component(wasm).await?).into_response(),
        false => stored(target.runtime.put_component(wasm, by).await?).into_response(),
    })
}

/// Returns the role of the caller that a registry forwards a request for. The runtime caps it at the
/// role of the registry's token.
pub(crate) fn forwarded_role(app: &App, headers: &HeaderMap) -> HandlerResult<Role> {
    let by = headers.get(ROLE).filter(|_| app.surface == Surface::Runtime);
    let by = by.map(|role| {
        let word = role.to_str().unwrap_or_default();
        let role = Role::ALL.into_iter().find(|role| role.as_str() == word);
        role.ok_or(Error::from(Invalid::Header))
    });
    Ok(by.transpose()?.unwrap_or(Role::Admin))
}

async fn get(target: AddressedRuntime) -> HandlerResult<Json<ComponentView>> {
    Ok(Json(target.runtime.component(target.component()?).await?))
}

async fn remove(target: AddressedRuntime) -> HandlerResult<StatusCode> {
    target.runtime.remove_component(target.component()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
