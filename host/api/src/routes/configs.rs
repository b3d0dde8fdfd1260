//! Routes for config bundles.

use axum::Json;
use axum::http::StatusCode;
use skep_protocol::{ConfigView, Listing, NewConfig};

use crate::incoming_body::IncomingBody;
use crate::path::AddressedRuntime;
use crate::query::Query;
use crate::refusal::HandlerResult;
use crate::route::{BodySchema, Route, json, stored};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/configs", ("listConfigs", "Lists config bundles, by digest"), list)
            .query::<String>("cursor", "Cursor of the previous page.")
            .answers(200, "The config bundles.", json::<Listing<ConfigView>>()),
        Route::post("/configs", ("putConfig", "Stores a config bundle"), put)
            .takes(json::<NewConfig>())
            .answers(201, "Stored.", json::<ConfigView>())
            .answers(200, "Already stored.", json::<ConfigView>()),
        Route::get("/configs/{digest}", ("getConfig", "Returns a config bundle"), get).answers(
            200,
            "The config bundle.",
            json::<ConfigView>(),
        ),
        Route::delete(
            "/configs/{digest}",
            ("removeConfig", "Removes a config bundle that no worker uses"),
            remove,
        )
        .answers(204, "Removed.", BodySchema::Empty),
    ]
}

async fn list(target: AddressedRuntime, query: Query) -> HandlerResult<Json<Listing<ConfigView>>> {
    let page = target.runtime.configs(query.text("cursor")?).await?;
    Ok(Json(crate::page::listing(page)))
}

async fn put(
    target: AddressedRuntime,
    body: IncomingBody,
) -> HandlerResult<(StatusCode, Json<ConfigView>)> {
    let config = body.json(|bytes| serde_json::from_slice::<NewConfig>(bytes)).await?;
    Ok(stored(target.runtime.put_config(config.values).await?))
}

async fn get(target: AddressedRuntime) -> HandlerResult<Json<ConfigView>> {
    Ok(Json(target.runtime.config(target.config()?).await?))
}

async fn remove(target: AddressedRuntime) -> HandlerResult<StatusCode> {
    target.runtime.remove_config(target.config()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
