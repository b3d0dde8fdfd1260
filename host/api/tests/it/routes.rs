//! The success path of every route, on both APIs.

use serde_json::json;
use skep_api::Surface;
use skep_conformance::Guest;
use skep_protocol::Role;

use crate::bed::Bed;

async fn both() -> [Bed; 2] {
    [Bed::browser().await, Bed::runtime().await]
}

#[tokio::test]
async fn components_are_stored_listed_and_removed() {
    for bed in both().await {
        let digest = bed.push(Guest::Scribe).await;
        assert_eq!(bed.push(Guest::Scribe).await, digest);
        let list = bed.admin("GET", &bed.at("/components")).send().await.is(200).json();
        assert_eq!(list["items"][0]["digest"], digest);
        assert_eq!((&list["next_cursor"], &list["diagnostics"]), (&json!(null), &json!([])));
        let path = bed.at(&format!("/components/{digest}"));
        let one = bed.admin("GET", &path).send().await.is(200).json();
        assert_eq!(one["kind"], "service");
        // As sent by clients that encode every reserved character.
        bed.admin("GET", &path.replace(':', "%3A")).send().await.is(200);
        assert!(bed.admin("DELETE", &path).send().await.is(204).body.is_empty());
        bed.admin("GET", &path).send().await.refused(404, "unknown_component");
        let junk = bed.admin("POST", &bed.at("/components")).body("junk").send().await;
        junk.refused(422, "component_refused");
    }
}

#[tokio::test]
async fn configs_are_stored_listed_and_removed() {
    for bed in both().await {
        let path = bed.at("/configs");
        let values = json!({ "values": { "a": "b" } });
        let made = bed.admin("POST", &path).json(&values).send().await.is(201).json();
        let again = bed.admin("POST", &path).json(&values).send().await.is(200).json();
        assert_eq!(made, again);
        let list = bed.admin("GET", &path).send().await.is(200).json();
        assert_eq!(list["items"], json!([made]));
        let one = format!("{path}/{}", made["digest"].as_str().unwrap());
        assert_eq!(bed.admin("GET", &one).send().await.is(200).json(), made);
        bed.admin("DELETE", &one).send().await.is(204);
        bed.admin("DELETE", &one).send().await.refused(404, "unknown_config");
    }
}

#[tokio::test]
async fn a_worker_is_created_updated_and_removed() {
    for bed in both().await {
        let digest = bed.push(Guest::Scribe).await;
        let id = "019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55";
        let spec = json!({ "component": digest, "worker_id": id, "labels": { "a": "b" } });
        let path = bed.at("/workers");
        let made = bed.admin("POST", &path).json(&spec).send().await.is(201).json();
        assert_eq!((&made["worker_id"], &made["runtime_id"]), (&json!(id), &json!("home")));
        assert_eq!(made["observed"], json!({ "state": "idle" }));
        bed.admin("POST", &path).json(&spec).send().await.is(200);
        let other = json!({ "component": digest, "worker_id": id });
        let other = bed.admin("POST", &path).json(&other).send().await;
        assert_eq!(other.refused(409, "conflict").json()["reason"], "worker");

        for (query, count) in [
            ("", 1),
            ("?label=a=b&limit=5", 1),
            ("?label=a%3Db&state=idle", 1),
            ("?label=a=c", 0),
            ("?state=busy", 0),
            ("?limit=18446744073709551615", 1),
            ("?q=019B0D&sort=updated_at&order=desc&kind=service&desired=running", 1),
            ("?execution=unconnected&q=a%3Db", 1),
            ("?execution=connected", 0),
            ("?q=%25&counts=false", 0),
        ] {
            let list = bed.admin("GET", &format!("{path}{query}")).send().await.is(200).json();
            assert_eq!(list["items"].as_array().unwrap().len(), count, "{query}");
        }

        let counted = bed.admin("GET", &format!("{path}?state=busy")).send().await.is(200).json();
        assert_eq!((&counted["matched"], &counted["counts"]["idle"]), (&json!(0), &json!(1)));
        for bad in [
            "sort=size",
            "order=up",
            "q=",
            "q=%0a",
            "q=%E2%80%AE",
            "kind=Service",
            "component=sha256:0",
            "desired=idle",
            "execution=yes",
            "state=Idle",
            "counts=1",
            "q=a&q=b",
            "sort=name&cursor=x",
        ] {
            let refused = bed.admin("GET", &format!("{path}?{bad}")).send().await;
            refused.refused(400, "invalid_request");
        }

        let one = bed.at(&format!("/workers/{id}"));
        assert_eq!(bed.admin("GET", &one).send().await.is(200).json()["kind"], "service");
        let change = json!({ "display_ref": "Build № 7" });
        let changed = bed.admin("PATCH", &one).json(&change).send().await.is(200).json();
        assert_eq!(changed["display_ref"], "Build № 7");
        let stopped = bed.admin("POST", &format!("{one}/stop")).send().await.is(200).json();
        assert_eq!(stopped["desired"], "stopped");
        let input = bed.admin("POST", &format!("{one}/inputs")).body("get x").send().await;
        input.refused(409, "worker_stopped");
        let started = bed.admin("POST", &format!("{one}/start")).send().await.is(200).json();
        assert_eq!(started["desired"], "running");
        let back = bed.admin("POST", &format!("{one}/rollback")).send().await;
        assert_eq!(back.refused(409, "conflict").json()["reason"], "no_previous");
        let noticed = bed.admin("GET", &format!("{one}/diagnostics")).send().await.is(200).json();
        assert_eq!(noticed, json!({ "items": [], "next_cursor": null, "diagnostics": [] }));
        let usage = bed.admin("GET", &format!("{one}/usage")).send().await.is(200).json();
        assert!(usage["turns"].is_u64());
        bed.admin("DELETE", &one).send().await.is(204);
        bed.admin("GET", &one).send().await.refused(410, "worker_removed");
        bed.admin("POST", &path).json(&spec).send().await.refused(410, "worker_removed");
    }
}

#[tokio::test]
async fn inputs_are_accepted_handled_and_cancelled() {
    for bed in both().await {
        let worker = bed.worker(Guest::Scribe).await;
        let inputs = format!("{worker}/inputs");
        let done = bed.handle(&worker, "echo hello").await;
        assert_eq!(done["outcome"], "completed");
        assert_eq!(done["output"]["body"], "hello");
        let failed = bed.handle(&worker, "fail not-today the reason").await;
        assert_eq!((&failed["outcome"], &failed["output"]), (&json!("failed"), &json!(null)));
        assert_eq!(failed["error"]["code"], "not-today");

        let keyed = || bed.admin("POST", &inputs).header("idempotency-key", "k 1").body("spin");
        let sent = keyed().send().await.is(202).json();
        assert!(sent["seq"].is_u64());
        assert_eq!(keyed().send().await.is(202).json(), sent);
        let other = bed.admin("POST", &inputs).header("idempotency-key", "k 1").body("echo");
        let other = other.send().await.refused(409, "conflict").json();
        assert_eq!(other["reason"], "idempotency_key");

        let one = format!("{inputs}/{}", sent["input_id"].as_str().unwrap());
        let view = bed.admin("GET", &one).send().await.is(200).json();
        assert_eq!(view["input_id"], sent["input_id"]);
        let ended = bed.admin("DELETE", &one).send().await.is(200).json();
        assert_eq!((&ended["state"], &ended["outcome"]), (&json!("done"), &json!("cancelled")));
        let again = bed.admin("DELETE", &one).send().await.refused(409, "conflict");
        assert_eq!(again.json()["reason"], "ended");

        let page = format!("{worker}/transcript?after=0&limit=2");
        let page = bed.admin("GET", &page).send().await.is(200).json();
        assert_eq!(page["items"].as_array().unwrap().len(), 2);
        assert_eq!((&page["more"], &page["next_cursor"]), (&json!(true), &json!("2")));
        assert_eq!(page["items"][0]["seq"], 1);
    }
}

#[tokio::test]
async fn bodies_without_a_type_or_with_a_forms_type_are_accepted() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Echo).await;
    let path = format!("{worker}/inputs?wait_ms=10000");
    let done = bed.admin("POST", &path).body(vec![0xff, 0]).send().await.is(200).json();
    let output = json!({ "content_type": "application/octet-stream", "body_base64": "/wA=" });
    assert_eq!(done["output"], output);
    let form = "application/x-www-form-urlencoded";
    let done = bed.admin("POST", &path).header("content-type", form).body("a=b").send().await;
    assert_eq!(done.is(200).json()["output"], json!({ "content_type": form, "body": "a=b" }));
}

#[tokio::test]
async fn files_are_written_read_by_range_and_removed() {
    for bed in both().await {
        let worker = bed.worker(Guest::Echo).await;
        let file = format!("{worker}/files/a/b%20%C3%BC.txt");
        let put = || bed.admin("PUT", &file).body("0123456789").send();
        assert_eq!(put().await.is(201).json()["name"], "a/b ü.txt");
        put().await.is(200);
        let list = bed.admin("GET", &format!("{worker}/files?prefix=a/")).send().await.is(200);
        assert_eq!(list.json()["items"][0]["bytes"], 10);

        let got = bed.admin("GET", &file).send().await.is(200);
        assert_eq!(&got.body[..], b"0123456789");
        assert_eq!(
            got.header("content-disposition"),
            "attachment; filename*=UTF-8''b%20%C3%BC%2Etxt"
        );
        assert_eq!(got.header("content-type"), "application/octet-stream");
        assert_eq!(got.header("x-content-type-options"), "nosniff");
        assert_eq!(got.header("accept-ranges"), "bytes");
        for (range, part, of) in [
            ("bytes=2-4", "234", "bytes 2-4/10"),
            ("bytes=7-", "789", "bytes 7-9/10"),
            ("bytes=-2", "89", "bytes 8-9/10"),
        ] {
            let got = bed.admin("GET", &file).header("range", range).send().await.is(206);
            assert_eq!((&got.body[..], got.header("content-range")), (part.as_bytes(), of));
        }
        let past = bed.admin("GET", &file).header("range", "bytes=10-").send().await;
        let past = past.refused(416, "range_not_satisfiable");
        assert_eq!(past.header("content-range"), "bytes */10");
        let head = bed.admin("HEAD", &file).send().await.is(200);
        assert_eq!((head.header("content-length"), head.body.len()), ("10", 0));

        bed.admin("DELETE", &file).send().await.is(204);
        bed.admin("GET", &file).send().await.refused(404, "unknown_file");
        let tar = format!("{worker}/files.tar");
        let got = bed.admin("GET", &tar).send().await.is(200);
        assert_eq!(got.header("content-type"), "application/x-tar");
        let put = bed.admin("PUT", &tar).body(got.body.to_vec()).send().await.is(200).json();
        assert_eq!(put, json!({ "files": 0, "bytes": 0 }));
        bed.admin("PUT", &tar).body("tar").send().await.refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn http_workers_are_not_supported_yet() {
    for bed in both().await {
        let worker = bed.worker(Guest::Echo).await;
        for path in ["/http", "/http/", "/http/a/b?c"] {
            for method in ["GET", "POST", "OPTIONS"] {
                let said = bed.admin(method, &format!("{worker}{path}")).send().await;
                said.refused(501, "operation_unsupported");
            }
        }
    }
}

#[tokio::test]
async fn a_runtime_describes_itself() {
    let [browser, runtime] = both().await;
    let view = runtime.admin("GET", "/v1/runtime").send().await.is(200).json();
    assert_eq!((&view["runtime_id"], &view["ready"]), (&json!("home"), &json!(true)));
    let summary = browser.admin("GET", "/api/runtimes/home").send().await.is(200).json();
    assert_eq!((&summary["source"], &summary["status"]), (&json!("embedded"), &json!("available")));
    let unknown = browser.admin("GET", "/api/runtimes/none").send().await;
    unknown.refused(404, "unknown_runtime");
    for bed in [browser, runtime] {
        let noticed = bed.admin("GET", &bed.at("/diagnostics")).send().await.is(200).json();
        assert_eq!(noticed["items"], json!([]));
    }
}

#[tokio::test]
async fn lists_cover_all_runtimes() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let runtimes = bed.admin("GET", "/api/runtimes").send().await.is(200).json();
    let ids: Vec<_> =
        runtimes["items"].as_array().unwrap().iter().map(|one| &one["runtime_id"]).collect();
    assert_eq!(ids, ["home", "far"]);
    let workers = bed.admin("GET", "/api/workers?state=idle").send().await.is(200).json();
    assert_eq!(workers["items"].as_array().unwrap().len(), 1);
    assert_eq!(workers["items"][0]["source"], "embedded");
    assert!(worker.ends_with(workers["items"][0]["worker_id"].as_str().unwrap()));
    let hosts = bed.admin("GET", "/api/hosts").send().await.is(200).json();
    let host = hosts["items"][0]["host_id"].as_str().unwrap();
    let of_host = format!("/api/hosts/{host}/workers");
    let of_host = bed.admin("GET", &of_host).send().await.is(200).json();
    assert_eq!(of_host["items"].as_array().unwrap().len(), 1);
    let none = bed.admin("GET", "/api/hosts/none/workers").send().await;
    none.refused(404, "unknown_host");
}

#[tokio::test]
async fn changes_are_audited_and_the_audit_is_for_admins() {
    let bed = Bed::browser().await;
    bed.worker(Guest::Scribe).await;
    let audit = bed.admin("GET", "/api/audit").send().await.is(200).json();
    let actions: Vec<_> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["action"].as_str())
        .collect();
    assert!(actions.contains(&"worker.create"), "{actions:?}");
    let viewer = bed.token(Role::Viewer, None);
    bed.ask("GET", "/api/audit").bearer(&viewer).send().await.refused(403, "forbidden");
}

#[tokio::test]
async fn roles_and_runtime_limits_are_enforced() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let viewer = bed.token(Role::Viewer, None);
    bed.ask("GET", &worker).bearer(&viewer).send().await.is(200);
    let change = bed.ask("POST", &format!("{worker}/stop")).bearer(&viewer).send().await;
    change.refused(403, "forbidden");
    let elsewhere = bed.token(Role::Admin, Some("far"));
    let hidden = bed.ask("GET", &worker).bearer(&elsewhere).send().await;
    assert_eq!(hidden.status, 404, "{hidden:?}");
}

#[tokio::test]
async fn probes_answer_and_requests_are_counted() {
    for bed in both().await {
        assert_eq!(&bed.ask("GET", "/healthz").send().await.is(200).body[..], b"ok\n");
        bed.ask("GET", "/readyz").send().await.is(200);
        bed.ask("GET", "/metrics").send().await.refused(401, "unauthenticated");
        bed.admin("GET", "/nothing").send().await.refused(404, "not_found");
        let said = bed.admin("GET", "/metrics").send().await.is(200);
        let text = String::from_utf8(said.body.to_vec()).unwrap();
        for line in [
            "skep_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1",
            "skep_http_requests_total{method=\"GET\",route=\"/metrics\",status=\"401\"} 1",
            "skep_http_requests_total{method=\"*\",route=\"*\",status=\"404\"} 1",
            "skep_http_request_seconds_count{method=\"GET\",route=\"/healthz\"} 1",
            "skep_event_readers 0",
            "skep_workers{runtime_id=\"home\"} 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        let open = text.lines().find_map(|line| line.strip_prefix("skep_open_connections "));
        assert!(open.unwrap().parse::<u32>().unwrap() >= 1, "{text}");
    }
}

#[tokio::test]
async fn each_api_has_only_its_own_routes() {
    let [browser, runtime] = both().await;
    for path in ["/v1/runtime", "/v1/workers"] {
        browser.admin("GET", path).send().await.refused(404, "not_found");
    }
    for path in ["/api/runtimes", "/api/me", "/login", "/api/openapi.json", "/"] {
        runtime.admin("GET", path).send().await.refused(404, "not_found");
    }
    assert_eq!((browser.surface, runtime.surface), (Surface::Browser, Surface::Runtime));
}

#[tokio::test]
async fn many_workers_are_changed_at_once() {
    let bed = Bed::browser().await;
    let (one, other) = (bed.worker(Guest::Scribe).await, bed.worker(Guest::Scribe).await);
    let ids = [&one, &other].map(|path| path.rsplit('/').next().unwrap().to_owned());
    let bulk = |body: serde_json::Value| bed.admin("POST", "/api/workers:bulk").json(&body).send();
    let preview = json!({ "action": "stop", "filter": { "kind": "service" }, "preview": true });
    let counted = bulk(preview.clone()).await.is(200).json();
    assert_eq!(counted, json!({ "count": 2, "diagnostics": [] }));
    let unknown = "019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55";
    let workers: Vec<_> = [&ids[0], &ids[1], unknown]
        .map(|id| json!({ "runtime_id": "home", "worker_id": id }))
        .into();
    let said = bulk(json!({ "action": "stop", "workers": workers })).await.is(200);
    assert_eq!(said.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(said.body.to_vec()).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines.iter().filter(|line| line["ok"] == true).count(), 2);
    let failed = lines.iter().find(|line| line["ok"] == false).unwrap();
    assert_eq!(failed["problem"]["code"], "unknown_worker");
    for bad in [
        json!({ "action": "stop" }),
        json!({ "action": "stop", "filter": { "state": "Idle" } }),
        json!({ "action": "stop", "filter": { "stat": "idle" } }),
        json!({ "action": "stop", "filter": { "q": "\u{202e}" } }),
        json!({ "action": "explode", "filter": {} }),
        json!({ "action": "stop", "filter": {}, "workers": [] }),
        json!({ "action": "label", "filter": {} }),
    ] {
        bulk(bad).await.refused(400, "invalid_request");
    }
    let many: Vec<_> = (0..10_001)
        .map(|n| json!({ "runtime_id": "home", "worker_id": format!("019b0d2e-7c31-7e0a-8f7d-{n:012x}") }))
        .collect();
    bulk(json!({ "action": "start", "workers": many })).await.refused(413, "too_many_workers");
    let viewer = bed.token(Role::Viewer, None);
    let ask = bed.ask("POST", "/api/workers:bulk").bearer(&viewer).json(&preview);
    let refused = ask.send().await.refused(403, "forbidden").json();
    assert_eq!(refused["needs"], json!({ "role": "operator" }));
}

#[tokio::test]
async fn limits_grants_and_diagnostics_are_listed() {
    let bed = Bed::browser().await;
    let limits = bed.admin("GET", "/api/limits").send().await.is(200).json();
    let memory = limits["items"].as_array().unwrap().iter().find(|l| l["name"] == "memory_bytes");
    let memory = memory.unwrap();
    assert_eq!((&memory["unit"], &memory["per_worker"]), (&json!("bytes"), &json!(true)));
    assert_eq!((&memory["default"], &memory["ceiling"]), (&json!(268_435_456), &json!(null)));
    let all = bed.admin("GET", "/api/me/grants").send().await.is(200).json();
    let none = json!(null);
    assert_eq!(all, json!({ "role": "admin", "scopes": none, "http": none, "secrets": none }));
    let operator = bed.token(Role::Operator, None);
    let some = bed.ask("GET", "/api/me/grants").bearer(&operator).send().await.is(200).json();
    assert_eq!((&some["scopes"], &some["http"]), (&json!(null), &json!([])));
    let noticed = bed.admin("GET", "/api/diagnostics").send().await.is(200).json();
    assert_eq!(noticed["items"], json!([]));
    for path in ["/api/limits", "/api/me/grants", "/api/diagnostics"] {
        bed.ask("GET", path).send().await.refused(401, "unauthenticated");
    }
}

#[tokio::test]
async fn limits_of_a_worker_are_replaced() {
    for bed in both().await {
        let worker = bed.worker(Guest::Scribe).await;
        let patch = |body: serde_json::Value| bed.admin("PATCH", &worker).json(&body).send();
        let limits = json!({ "input_bytes": 4 });
        let changed = patch(json!({ "limits": limits })).await.is(200).json();
        assert_eq!(changed["limits"], limits);
        let stale = json!({ "limits": {}, "limits_before": { "input_bytes": 5 } });
        assert_eq!(patch(stale).await.refused(409, "conflict").json()["reason"], "limits");
        for bad in [json!({ "size": 1 }), json!({ "input_bytes": -1 }), json!({ "tables": 1 })] {
            patch(json!({ "limits": bad })).await.refused(400, "invalid_request");
        }
        assert_eq!(patch(json!({ "limits": {} })).await.is(200).json()["limits"], json!({}));
    }
}

#[tokio::test]
async fn a_worker_is_copied_and_its_state_is_listed() {
    for bed in both().await {
        let worker = bed.worker(Guest::Scribe).await;
        for order in ["set user/1 amber", "set user/2 blue", "set other x"] {
            bed.handle(&worker, order).await;
        }
        let fork = format!("{worker}/fork");
        let id = "019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55";
        let body = json!({ "worker_id": id, "display_ref": "copy" });
        let made = bed.admin("POST", &fork).json(&body).send().await.is(201).json();
        assert_eq!((&made["worker_id"], &made["display_ref"]), (&json!(id), &json!("copy")));
        assert_eq!(made["grants"], json!({ "scopes": [] }));
        let again = bed.admin("POST", &fork).json(&body).send().await.is(200).json();
        assert_eq!(again["worker_id"], id);
        let other = json!({ "worker_id": id, "display_ref": "other" });
        bed.admin("POST", &fork).json(&other).send().await.refused(409, "conflict");
        bed.admin("POST", &fork)
            .json(&json!({ "grants": {} }))
            .send()
            .await
            .refused(400, "invalid_request");

        let copy = bed.at(&format!("/workers/{id}"));
        let state = format!("{copy}/state?prefix=user%2F&limit=1");
        let first = bed.admin("GET", &state).send().await.is(200).json();
        assert_eq!(
            (&first["items"][0]["key"], &first["items"][0]["bytes"]),
            (&json!("user/1"), &json!(5))
        );
        let cursor = first["next_cursor"].as_str().unwrap();
        let next = format!("{state}&cursor={cursor}");
        let next = bed.admin("GET", &next).send().await.is(200).json();
        assert_eq!(
            (&next["items"][0]["key"], &next["next_cursor"]),
            (&json!("user/2"), &json!(null))
        );
        bed.admin("GET", &format!("{copy}/state?prefx=x"))
            .send()
            .await
            .refused(400, "invalid_request");

        let viewer = bed.token(Role::Viewer, None);
        let refused = bed.ask("POST", &fork).bearer(&viewer).json(&json!({})).send().await;
        refused.refused(403, "forbidden");
        bed.ask("GET", &state).bearer(&viewer).send().await.is(200);
        let unknown = bed.at("/workers/019b0d2e-7c31-7e0a-8f7d-000000000000/fork");
        bed.admin("POST", &unknown).json(&json!({})).send().await.refused(404, "unknown_worker");
    }
}

#[tokio::test]
async fn the_history_of_a_worker_and_a_runtime_is_listed() {
    for bed in both().await {
        let worker = bed.worker(Guest::Scribe).await;
        let history = format!("{worker}/usage/history");
        let history = bed.admin("GET", &history).send().await.is(200).json();
        assert!(history["interval_ms"].as_u64().unwrap() > 0 && history["items"].is_array());
        let load = bed.admin("GET", &bed.at("/usage/history")).send().await.is(200).json();
        assert!(load["interval_ms"].as_u64().unwrap() > 0 && load["items"].is_array());
        let unknown = bed.at("/workers/019b0d2e-7c31-7e0a-8f7d-000000000000/usage/history");
        bed.admin("GET", &unknown).send().await.refused(404, "unknown_worker");
    }
}
