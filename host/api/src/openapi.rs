//! The OpenAPI 3.1 document, generated from the routes and the protocol's types.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use skep_protocol::problem::PROBLEM_JSON;
use skep_protocol::{
    CiRunId, ComponentDigest, FileName, HostId, InputId, Problem, RuntimeId, SessionId, TokenId,
    WorkerId,
};

use crate::credential::COOKIE_NAME;
use crate::route::{BodySchema, Route, SchemaOf};

/// The media type of server-sent events.
const EVENT_STREAM: &str = "text/event-stream";

/// Generates the document. The output is deterministic.
pub(crate) fn document(routes: &[Route]) -> String {
    // Schemas of responses describe serialization, those of requests deserialization, where
    // optional fields are not required.
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut answers = settings.clone().for_serialize().into_generator();
    let mut takes = settings.for_deserialize();
    takes.inline_subschemas = true;
    let mut takes = takes.into_generator();

    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut statuses = BTreeMap::new();
    for route in routes.iter().filter(|route| !route.hidden) {
        let path = route.path.replace("{*", "{");
        let mut parameters: Vec<Value> =
            names(&path).map(|name| in_path(name, &mut takes)).collect();
        parameters.extend(route.parameters.iter().map(|parameter| {
            json!({
                "name": parameter.name,
                "in": parameter.location,
                "description": parameter.description,
                "schema": (parameter.shape)(&mut takes),
            })
        }));
        let mut responses = Map::new();
        for (status, description, content) in &route.answers {
            let mut response = json!({ "description": description });
            if let Some(content) = written(content, &mut answers) {
                response["content"] = content;
            }
            responses.insert(status.to_string(), response);
        }
        for status in &route.problems {
            statuses.insert(*status, ());
            let shared = format!("#/components/responses/{status}");
            responses.insert(status.to_string(), json!({ "$ref": shared }));
        }
        let mut operation = json!({
            "summary": route.description,
            "responses": responses,
        });
        if let Some(notes) = route.notes {
            operation["description"] = notes.into();
        }
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(content) = written(&route.request, &mut takes) {
            let required = !route.is_any();
            operation["requestBody"] = json!({ "required": required, "content": content });
        }
        if let Some(role) = route.role {
            operation["x-role"] = role.as_str().into();
        }
        if route.open {
            operation["security"] = json!([]);
        }
        let methods = paths.entry(path).or_default();
        for (method, id) in route.operations() {
            operation["operationId"] = id.into();
            methods.insert(method.to_lowercase(), operation.clone());
        }
    }
    let problem = answers.subschema_for::<Problem>();
    let responses: Map<String, Value> =
        statuses.into_keys().map(|status| refused(status, &problem)).collect();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Skep",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Workers in WebAssembly sandboxes, on one machine or many. Every \
                            refused request is answered with a problem of RFC 9457, whose \
                            `code` is stable. An operation's `x-role` is the least \
                            role that may use it.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": COOKIE_NAME },
            },
            "responses": responses,
            "schemas": answers.take_definitions(true),
        },
    });
    let mut text =
        serde_json::to_string_pretty(&sorted(document)).expect("values always serialize");
    text.push('\n');
    text
}

/// Describes the problem of a status.
fn refused(status: u16, problem: &Schema) -> (String, Value) {
    let description =
        StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut response = json!({
        "description": description.unwrap_or("A problem"),
        "content": { PROBLEM_JSON: { "schema": problem } },
    });
    if matches!(status, 429 | 503) {
        response["headers"] = json!({
            "Retry-After": {
                "description": "Delay before the next attempt, in seconds.",
                "schema": { "type": "integer", "minimum": 1 },
            },
        });
    }
    (status.to_string(), response)
}

fn written(content: &BodySchema, generator: &mut SchemaGenerator) -> Option<Value> {
    match content {
        BodySchema::Empty => None,
        BodySchema::Json(shape) => {
            Some(json!({ "application/json": { "schema": shape(generator) } }))
        }
        BodySchema::Bytes(media) => Some(json!({ (*media): {} })),
        BodySchema::Events(events) => {
            Some(json!({ EVENT_STREAM: { "schema": stream(events, generator) } }))
        }
    }
}

/// Describes an event stream: JSON Schema can describe the data of its events.
fn stream(events: &[(&'static str, SchemaOf)], generator: &mut SchemaGenerator) -> Value {
    let event = |(name, shape): &(&'static str, SchemaOf)| {
        json!({
            "type": "object",
            "required": ["event", "data"],
            "properties": {
                "id": { "type": "string" },
                "event": { "const": name },
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": shape(generator),
                },
            },
        })
    };
    let events: Vec<_> = events.iter().map(event).collect();
    json!({
        "type": "string",
        "contentMediaType": EVENT_STREAM,
        "contentSchema": { "type": "array", "items": { "oneOf": events } },
    })
}

/// Iterates over the parameters in a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(name: &str, generator: &mut SchemaGenerator) -> Value {
    let (shape, description): (SchemaOf, &str) = match name {
        "runtime_id" => (|all| all.subschema_for::<RuntimeId>(), "The runtime."),
        "host_id" => (|all| all.subschema_for::<HostId>(), "The host."),
        "worker_id" => (|all| all.subschema_for::<WorkerId>(), "The worker."),
        "token_id" => (|all| all.subschema_for::<TokenId>(), "The token."),
        "session_id" => (|all| all.subschema_for::<SessionId>(), "The session."),
        "run_id" => (|all| all.subschema_for::<CiRunId>(), "The run."),
        "input_id" => (|all| all.subschema_for::<InputId>(), "The input."),
        "digest" => (|all| all.subschema_for::<ComponentDigest>(), "The digest."),
        "path" => (
            |all| all.subschema_for::<String>(),
            "The path for the worker, with its slashes unencoded. It may be empty.",
        ),
        _ => {
            (|all| all.subschema_for::<FileName>(), "The file's name, with its slashes unencoded.")
        }
    };
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": shape(generator),
    })
}

/// Sorts the members of all objects, whichever map serde_json was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> =
                members.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        value => value,
    }
}
