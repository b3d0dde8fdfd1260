//! Routes to HTTP workers over HTTP.

use serde_json::{Value, json};
use skep_conformance::Guest;
use skep_protocol::Role;

use crate::bed::Bed;

#[tokio::test]
async fn a_route_is_added_listed_and_removed_over_http() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Responder).await;
    let id = worker.rsplit('/').next().unwrap();
    let new = json!({ "prefix": "Shop.example/cart/", "worker_id": id });
    let add = |body: &Value| bed.admin("POST", "/api/routes").json(body).send();
    let added = add(&new).await.is(201).json();
    for (name, value) in [
        ("site", "main"),
        ("prefix", "shop.example/cart"),
        ("runtime_id", "home"),
        ("worker_id", id),
        ("auth", "token"),
        ("state", "active"),
    ] {
        assert_eq!(added[name], json!(value), "{added}");
    }
    assert_eq!(add(&new).await.is(200).json(), added);
    let other = json!({ "prefix": "shop.example/cart", "worker_id": id, "auth": "public" });
    let refused = add(&other).await;
    refused.refused(403, "forbidden");
    assert_eq!(add(&other).await.json()["needs"], json!({ "public_site": "main" }));
    let listed = bed.admin("GET", "/api/routes").send().await.is(200).json();
    assert_eq!(listed["items"], json!([added]));

    let scribe = bed.worker(Guest::Scribe).await;
    let scribe = scribe.rsplit('/').next().unwrap();
    for (body, status, code) in [
        (json!({}), 400, "invalid_request"),
        (json!({ "prefix": "shop.example", "worker_id": id }), 400, "invalid_request"),
        (json!({ "prefix": "a.example/", "worker_id": id, "auth": "all" }), 400, "invalid_request"),
        (json!({ "prefix": "a.example/", "worker_id": scribe }), 400, "invalid_request"),
        (json!({ "prefix": "a.example/", "worker_id": id, "site": "x" }), 404, "unknown_site"),
        (
            json!({ "prefix": "a.example/", "worker_id": id, "runtime_id": "none" }),
            404,
            "unknown_runtime",
        ),
    ] {
        add(&body).await.refused(status, code);
    }
    let operator = bed.token(Role::Operator, None);
    let asked = bed.ask("POST", "/api/routes").bearer(&operator).json(&new).send().await;
    asked.refused(403, "forbidden");

    let remove = |query: &str| bed.admin("DELETE", &format!("/api/routes{query}")).send();
    for (query, status, code) in [
        ("", 400, "invalid_request"),
        ("?prefix=shop.example", 400, "invalid_request"),
        ("?prefix=shop.example/cart&site=UP", 400, "invalid_request"),
        ("?prefix=shop.example/cart&site=other", 404, "unknown_route"),
        ("?prefix=shop.example/", 404, "unknown_route"),
    ] {
        remove(query).await.refused(status, code);
    }
    remove("?prefix=shop.example%2Fcart&site=main").await.is(204);
    remove("?prefix=shop.example/cart").await.refused(404, "unknown_route");
    let audit = bed.admin("GET", "/api/audit?action=route.remove&outcome=ok").send().await;
    let audit = audit.is(200).json();
    assert_eq!(
        audit["items"][0]["before"]["route"],
        json!({ "site": "main", "prefix": "shop.example/cart", "auth": "token" })
    );
    assert_eq!(audit["items"][0]["worker_id"], json!(id));
}
