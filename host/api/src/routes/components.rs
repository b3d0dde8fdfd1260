//! Components.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use skep_protocol::{ComponentView, Error, Invalid, LimitName, Listing, Role};

use crate::place::Place;
use crate::query::Query;
use crate::refusal::Answer;
use crate::route::{Content, Route, json, stored};
use crate::upload::Upload;
use crate::{App, Surface};

/// By which a registry says whose component it passes on: the role of their token.
const ROLE: &str = "skep-role";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/components",
            ("listComponents", "Components, in the order of their digests"),
            list,
        )
        .query::<String>("cursor", "Where the last page ended.")
        .answers(200, "The components.", json::<Listing<ComponentView>>()),
        Route::post(
            "/components",
            ("putComponent", "Stores a component: the bytes of the wasm file are the body"),
            put,
        )
        .takes(Content::Bytes("application/octet-stream"))
        .answers(201, "It is stored.", json::<ComponentView>())
        .answers(200, "It was stored already.", json::<ComponentView>())
        .refuses(&[422]),
        Route::get("/components/{digest}", ("getComponent", "One component"), get).answers(
            200,
            "The component.",
            json::<ComponentView>(),
        ),
        Route::delete(
            "/components/{digest}",
            ("removeComponent", "Removes a component that no worker uses"),
            remove,
        )
        .answers(204, "It is removed.", Content::Empty),
    ]
}

async fn list(place: Place, query: Query) -> Answer<Json<Listing<ComponentView>>> {
    let page = place.runtime.components(query.text("cursor")?).await?;
    Ok(Json(super::listing(page)))
}

async fn put(
    State(app): State<App>,
    place: Place,
    upload: Upload,
) -> Answer<(StatusCode, Json<ComponentView>)> {
    // A registry says for whom it asks. Whoever asks has at most the role of their own token.
    let by = upload.headers.get(ROLE).filter(|_| app.surface == Surface::Runtime);
    let by = by.map(|role| {
        let word = role.to_str().unwrap_or_default();
        let role = Role::ALL.into_iter().find(|role| role.as_str() == word);
        role.ok_or(Error::from(Invalid::Header))
    });
    let by = by.transpose()?.unwrap_or(Role::Admin);
    let wasm = upload.stream(Some((LimitName::component_bytes, app.limits.component_bytes)))?;
    Ok(stored(place.runtime.put_component(wasm, by).await?))
}

async fn get(place: Place) -> Answer<Json<ComponentView>> {
    Ok(Json(place.runtime.component(place.component()?).await?))
}

async fn remove(place: Place) -> Answer<StatusCode> {
    place.runtime.remove_component(place.component()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
