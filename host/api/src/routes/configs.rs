//! Config bundles.

use axum::Json;
use axum::http::StatusCode;
use skep_protocol::{ConfigView, Listing, NewConfig};

use crate::place::Place;
use crate::query::Query;
use crate::refusal::Answer;
use crate::route::{Content, Route, json, stored};
use crate::upload::Upload;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/configs",
            ("listConfigs", "Config bundles, in the order of their digests"),
            list,
        )
        .query::<String>("cursor", "Where the last page ended.")
        .answers(200, "The config bundles.", json::<Listing<ConfigView>>()),
        Route::post("/configs", ("putConfig", "Stores a config bundle"), put)
            .takes(json::<NewConfig>())
            .answers(201, "It is stored.", json::<ConfigView>())
            .answers(200, "It was stored already.", json::<ConfigView>()),
        Route::get("/configs/{digest}", ("getConfig", "One config bundle"), get).answers(
            200,
            "The config bundle.",
            json::<ConfigView>(),
        ),
        Route::delete(
            "/configs/{digest}",
            ("removeConfig", "Removes a config bundle that no worker uses"),
            remove,
        )
        .answers(204, "It is removed.", Content::Empty),
    ]
}

async fn list(place: Place, query: Query) -> Answer<Json<Listing<ConfigView>>> {
    let page = place.runtime.configs(query.text("cursor")?).await?;
    Ok(Json(super::listing(page)))
}

async fn put(place: Place, upload: Upload) -> Answer<(StatusCode, Json<ConfigView>)> {
    let config = upload.json(|bytes| serde_json::from_slice::<NewConfig>(bytes)).await?;
    Ok(stored(place.runtime.put_config(config.values).await?))
}

async fn get(place: Place) -> Answer<Json<ConfigView>> {
    Ok(Json(place.runtime.config(place.config()?).await?))
}

async fn remove(place: Place) -> Answer<StatusCode> {
    place.runtime.remove_config(place.config()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
