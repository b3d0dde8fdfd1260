//! The OpenAPI document only changes on purpose.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// Set this to rewrite the golden file: `SKEP_RENEW=1 cargo test -p skep-api --test it document`.
const RENEW: &str = "SKEP_RENEW";

#[test]
fn the_openapi_document_matches_the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let document = skep_api::openapi();
    if std::env::var_os(RENEW).is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == document,
        "the OpenAPI document has changed; if that is intended, rewrite it with {RENEW}=1"
    );
}

/// Collects the schemas that a value refers to with standard OpenAPI references.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members.iter().filter(|(key, _)| !key.starts_with("x-")) {
                match value {
                    Value::String(text) if key == "$ref" => {
                        found.extend(text.strip_prefix("#/components/schemas/"));
                    }
                    value => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_schema_is_used() {
    let document: Value = serde_json::from_str(&skep_api::openapi()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let schemas: BTreeSet<_> = schemas.keys().map(String::as_str).collect();
    assert_eq!(found, schemas);
}

#[test]
fn streams_are_described_by_their_events() {
    let document: Value = serde_json::from_str(&skep_api::openapi()).unwrap();
    let one = "/api/runtimes/{runtime_id}";
    for (path, expected) in [
        (
            "/api/events",
            &[
                ("change", "FleetChange"),
                ("change", "SlimChange"),
                ("ready", "ReadyEvent"),
                ("reset", "ResetEvent"),
                ("entry", "WatchedEntry"),
                ("entry_problem", "WatchedProblem"),
                ("component", "FleetCompiledEvent"),
                ("diagnostic", "FleetDiagnostic"),
                ("problem", "Problem"),
            ][..],
        ),
        (
            &format!("{one}/changes"),
            &[
                ("change", "Change"),
                ("ready", "ReadyEvent"),
                ("reset", ""),
                ("component", "CompiledEvent"),
                ("diagnostic", "Diagnostic"),
                ("problem", "Problem"),
            ],
        ),
        (
            &format!("{one}/workers/{{worker_id}}/events"),
            &[("entry", "Entry"), ("end", ""), ("problem", "Problem")],
        ),
    ] {
        let answer = &document["paths"][path]["get"]["responses"]["200"];
        let stream = &answer["content"]["text/event-stream"]["schema"];
        let events = stream["contentSchema"]["items"]["oneOf"].as_array().unwrap();
        let found = events.iter().map(|event| {
            let properties = &event["properties"];
            let data = &properties["data"]["contentSchema"]["$ref"];
            let data = data.as_str().and_then(|data| data.rsplit('/').next());
            (properties["event"]["const"].as_str().unwrap(), data.unwrap_or_default())
        });
        assert_eq!(found.collect::<Vec<_>>(), expected, "{path}");
    }
}

#[test]
fn requests_of_http_workers_are_described_with_every_reason_of_a_missing_answer() {
    let document: Value = serde_json::from_str(&skep_api::openapi()).unwrap();
    let path = "/api/runtimes/{runtime_id}/workers/{worker_id}/http/{path}";
    let methods = document["paths"][path].as_object().unwrap();
    let names: Vec<_> = methods.keys().map(String::as_str).collect();
    assert_eq!(names, ["delete", "get", "patch", "post", "put"]);
    for (method, operation) in methods {
        assert_eq!(operation["x-role"], "operator", "{method}");
        let notes = operation["description"].as_str().unwrap();
        for reason in skep_protocol::NoAnswer::every().map(|why| why.reason()) {
            assert!(notes.contains(&format!("`{reason}`")), "{reason} is not in: {notes}");
        }
        let status = skep_protocol::NoAnswer::every().map(|why| why.status().to_string());
        assert!(status.iter().all(|status| operation["responses"][status].is_object()));
    }
}
