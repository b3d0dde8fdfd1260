//! Tokens and sessions over HTTP, and the role that each operation needs.

use serde_json::{Value, json};
use skep_conformance::Guest;
use skep_protocol::Role;

use crate::bed::Bed;
use crate::client::Said;

/// Operations that do not end, or that end what the test uses.
const LEFT_OUT: [&str; 4] = ["login", "logout", "followFleet", "revokeToken"];

impl Bed {
    async fn log_in(&self, token: &str) -> (String, Value) {
        let ask = self.ask("POST", "/api/login").json(&json!({ "token": token }));
        let said = ask.send().await.is(200);
        let cookie = said.header("set-cookie").split(';').next().unwrap().to_owned();
        (cookie, said.json())
    }

    async fn in_session(&self, cookie: &str, method: &str, path: &str) -> Said {
        let ask = self.ask(method, path).header("cookie", cookie);
        ask.header("origin", &format!("http://{}", self.addr)).send().await
    }
}

#[tokio::test]
async fn a_token_is_created_listed_and_revoked_over_http() {
    let bed = Bed::browser().await;
    let new = json!({ "role": "operator", "name": "laptop", "runtimes": ["home"],
        "expires_at": "2099-01-01T00:00:00.000Z" });
    let made = bed.admin("POST", "/api/tokens").json(&new).send().await.is(201).json();
    let token = made["token"].as_str().unwrap();
    for (name, value) in new.as_object().unwrap() {
        assert_eq!(&made[name], value);
    }
    let me = bed.ask("GET", "/api/me").bearer(token).send().await.is(200).json();
    assert_eq!(me["token_id"], made["token_id"]);
    let list = bed.admin("GET", "/api/tokens").send().await.is(200);
    assert!(!String::from_utf8_lossy(&list.body).contains(token), "it is shown once");
    let list = list.json();
    let found = list["items"].as_array().unwrap().iter().find(|item| item["name"] == "laptop");
    let mut view = made.clone();
    view.as_object_mut().unwrap().remove("token");
    assert_eq!(found, Some(&view));

    let one = format!("/api/tokens/{}", made["token_id"].as_str().unwrap());
    bed.admin("DELETE", &one).send().await.is(204);
    bed.ask("GET", "/api/me").bearer(token).send().await.refused(401, "unauthenticated");
    bed.admin("DELETE", &one).send().await.is(204);
    bed.admin("DELETE", "/api/tokens/0123").send().await.refused(404, "unknown_token");
    bed.admin("DELETE", "/api/tokens/_").send().await.refused(400, "invalid_request");
    let audit = bed.admin("GET", "/api/audit?action=token.revoke").send().await.is(200).json();
    assert_eq!(audit["items"].as_array().unwrap().len(), 1);
    assert_eq!(audit["items"][0]["before"]["token"]["name"], "laptop");
    for body in [
        json!({}),
        json!({ "role": "owner" }),
        json!({ "role": "viewer", "name": "" }),
        json!({ "role": "viewer", "name": "a\u{1b}[31m" }),
        json!({ "role": "viewer", "expires_at": "2001-01-01T00:00:00.000Z" }),
        json!({ "role": "viewer", "token": "skep_1_mine" }),
    ] {
        let said = bed.admin("POST", "/api/tokens").json(&body).send().await;
        said.refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_session_is_listed_and_ended_over_http() {
    let bed = Bed::browser().await;
    let viewer = bed.token(Role::Viewer, None);
    let (one, _) = bed.log_in(&viewer).await;
    let (other, _) = bed.log_in(&viewer).await;
    let list = bed.in_session(&one, "GET", "/api/sessions").await.is(200);
    let text = String::from_utf8_lossy(&list.body).into_owned();
    for cookie in [&one, &other] {
        assert!(!text.contains(cookie.strip_prefix("skep_session=").unwrap()), "{text}");
    }
    let items = list.json()["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 2);
    let second = items.iter().find(|item| item["current"] == json!(false)).unwrap();
    let path = |item: &Value| format!("/api/sessions/{}", item["session_id"].as_str().unwrap());
    bed.in_session(&one, "DELETE", &path(second)).await.is(204);
    bed.in_session(&other, "GET", "/api/me").await.refused(401, "unauthenticated");
    bed.in_session(&one, "DELETE", &path(second)).await.refused(404, "unknown_session");
    // Another site's page cannot end one.
    let own = items.iter().find(|item| item["current"] == json!(true)).unwrap();
    let foreign = bed.ask("DELETE", &path(own)).header("cookie", &one);
    let foreign = foreign.header("origin", "http://evil.example").send().await;
    foreign.refused(403, "foreign_origin");
    let all = bed.admin("GET", "/api/sessions").send().await.is(200).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    bed.admin("DELETE", &path(own)).send().await.is(204);
    bed.in_session(&one, "GET", "/api/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn audit_filters_are_checked() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Echo).await;
    bed.admin("POST", &format!("{worker}/stop")).send().await.is(200);
    let id = worker.rsplit('/').next().unwrap();
    let query = format!("/api/audit?worker_id={id}&action=worker.stop&outcome=ok&runtime_id=home");
    let found = bed.admin("GET", &query).send().await.is(200).json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    for bad in ["actor=A", "worker_id=1", "runtime_id=_", "since=today", "until=1", "who=1"] {
        let said = bed.admin("GET", &format!("/api/audit?{bad}")).send().await;
        said.refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn every_operation_needs_the_role_that_the_document_names() {
    let bed = Bed::browser().await;
    let document: Value = serde_json::from_str(&skep_api::openapi()).unwrap();
    let worker = "01980000-0000-7000-8000-000000000000";
    let digest = format!("sha256:{}", "0".repeat(64));
    let roles = [Role::Viewer, Role::Operator, Role::Admin];
    let tokens = roles.map(|role| bed.token(role, None));
    let mut counts = [0; 3];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let Some(role) = operation["x-role"].as_str() else {
                assert_eq!(operation["security"], json!([]), "{id} needs a role or is open");
                continue;
            };
            let least = roles.iter().position(|known| known.as_str() == role).expect(id);
            if path.ends_with("/changes") || path.ends_with("/events") || LEFT_OUT.contains(&id) {
                continue;
            }
            counts[least] += 1;
            let body = match id {
                "createWorker" => json!({ "component": digest }),
                "putConfig" => json!({ "values": {} }),
                "renameFile" => json!({ "from": "a", "to": "b" }),
                "createToken" => json!({ "role": "viewer" }),
                "listMissingBlobs" => json!({ "blobs": [] }),
                "startStep" => json!({
                    "run": "one",
                    "step": {
                        "id": "a",
                        "tool": "a",
                        "component": { "digest": digest, "bytes": 1 },
                        "argv": ["a"],
                        "log_bytes": 1,
                        "expected": { "outcomes": ["exited"] },
                        "verify": 1,
                    },
                }),
                "addRoute" => json!({ "prefix": "a.example/", "worker_id": worker }),
                "bulkWorkers" => json!({ "action": "stop", "workers": [] }),
                _ => json!({}),
            };
            let path = path.replace("{runtime_id}", "home").replace("{host_id}", "fake-host");
            let path = path.replace("{worker_id}", worker).replace("{input_id}", worker);
            let path = path.replace("{digest}", &digest).replace("{name}", "a");
            let path = path
                .replace("{path}", "hello")
                .replace("{session_id}", "0")
                .replace("{token_id}", "0");
            let path = match id {
                "removeRoute" => format!("{path}?prefix=a.example/"),
                _ => path,
            };
            let path = path.replace("{hash}", &digest).replace("{step_key}", "0");
            for (has, token) in tokens.iter().enumerate() {
                let ask = bed.ask(&method.to_uppercase(), &path).bearer(token).json(&body);
                let said = ask.send().await;
                let refused = said.status == 403;
                assert_eq!(refused, has < least, "{id} for {:?}: {said:?}", roles[has]);
            }
        }
    }
    assert!(counts[0] > 10 && counts[1] > 10 && counts[2] > 2, "{counts:?}");
}
