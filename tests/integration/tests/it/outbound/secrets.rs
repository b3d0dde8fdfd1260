//! A secret reaches the servers that the operator named, and nothing else.

use std::path::Path;
use std::time::Duration;

use skep_harness::{Server, test_dir};
use skep_protocol::{Artifacts, CreateWorker, EntryKind, Invalid, Role, WorkerSpec, Workers};
use skep_sandbox::OperatorSecret;

use super::bed::{self, Bed};
use crate::hosting::{Hosted, skep};
use crate::served::{Served, Serves, prepared};

/// A value that only the named server may receive.
pub(super) const VALUE: &str = "MARKER/hunter2+MARKER-0123456789";

/// Opens a runtime with the secret `token` for one server.
pub(super) fn bed(server: &Server) -> Bed {
    let secret = OperatorSecret::new(VALUE, vec![server.url("").parse().unwrap()]).unwrap();
    Bed::knowing([("token".parse().unwrap(), secret)].into())
}

/// Returns the files below a directory that contain the secret or a piece of it.
pub(super) fn tainted(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    let mut files = 0;
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            files += 1;
            let content = std::fs::read(&path).unwrap();
            if content.windows(6).any(|piece| piece == b"MARKER") {
                found.push(path.display().to_string());
            }
        }
    }
    assert!(files > 2, "too few files were searched");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_sent_only_to_its_own_host() {
    let (friend, stranger) = (Server::start(), Server::start());
    let bed = bed(&friend);
    let other_name = format!("http://localhost:{} inner", stranger.port());
    let grants = [&friend.url(""), &stranger.url(""), &other_name];
    let worker = bed.caller(&grants.map(String::as_str), &[], &["token"]).await;
    let placeholder = bed.ask(worker, "say secret.token").await;
    assert!(placeholder.starts_with("skep-secret-") && placeholder.len() == 44, "{placeholder}");
    assert!(bed.ask(worker, "env").await.contains(&format!("SKEP_SECRET_TOKEN={placeholder}\n")));

    let asked = "?key=$token authorization:Bearer_$token x-key:$token";
    for (server, knows) in [(&friend, true), (&stranger, false)] {
        let echoed = bed.ask(worker, &format!("get {}{asked}", server.url("/echo"))).await;
        let dripped = bed.ask(worker, &format!("get {}{asked}", server.url("/drip"))).await;
        let mirrored = bed.ask(worker, &format!("get {}{asked}", server.url("/mirror"))).await;
        for seen in [&echoed, &dripped, &mirrored] {
            assert!(seen.contains(&placeholder) && !seen.contains("MARKER"), "{seen}");
        }
        assert!(echoed.contains(&format!("authorization: Bearer {placeholder}")), "{echoed}");
        assert!(mirrored.contains(&format!("x-mirror: {placeholder}")), "{mirrored}");
        for head in server.heads() {
            let bearer = if knows { VALUE } else { &placeholder };
            assert!(head.contains(&format!("authorization: Bearer {bearer}\r\n")), "{head}");
            assert_eq!(head.contains("?key=MARKER%2Fhunter2%2BMARKER-0123456789"), knows, "{head}");
            assert_eq!(head.contains("MARKER"), knows);
        }
    }
    // A body is content, not a credential.
    bed.ask(worker, &format!("send POST {} 10 x-key:$token", friend.url("/hello"))).await;

    // A compressed answer cannot be redacted.
    let packed = format!("get {} x-key:$token", friend.url("/gzip"));
    assert_eq!(bed.ask(worker, &packed).await, "error ErrorCode::HttpResponseContentCoding(None)");
    let elsewhere = format!("get http://localhost:{}/gzip x-key:$token", stranger.port());
    assert!(bed.ask(worker, &elsewhere).await.contains("status 200"));

    let requests = bed.entries(worker, EntryKind::Request).await;
    assert!(requests.len() >= 8);
    assert!(bed::json(&requests[0])["status"] == 200);
    assert_eq!(tainted(&bed.dir), [""; 0]);
    let Bed { runtime, dir } = bed;
    runtime.shutdown(Duration::from_secs(5)).await;
    assert_eq!(tainted(&dir), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_stored_by_a_server_is_redacted_in_answers() {
    let friend = Server::start();
    let hosts = vec![format!("POST {}", friend.url("")).parse().unwrap()];
    let secret = OperatorSecret::new(VALUE, hosts).unwrap();
    let bed = Bed::knowing([("token".parse().unwrap(), secret)].into());
    let worker = bed.caller(&[&friend.url("")], &[], &["token"]).await;
    let placeholder = bed.ask(worker, "say secret.token").await;
    bed.ask(worker, &format!("send POST {} 0 x-key:$token", friend.url("/hello"))).await;
    assert!(friend.heads()[0].contains(&format!("x-key: {VALUE}\r\n")), "{:?}", friend.heads());
    let kept = bed.ask(worker, &format!("get {}", friend.url("/before"))).await;
    assert!(kept.contains(&format!("x-key: {placeholder}")) && !kept.contains("MARKER"), "{kept}");
    // Nor compressed, where it could not be redacted.
    let packed = bed.ask(worker, &format!("get {}", friend.url("/gzip"))).await;
    assert_eq!(packed, "error ErrorCode::HttpResponseContentCoding(None)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_requires_a_grant() {
    let friend = Server::start();
    let bed = bed(&friend);
    let other = bed.caller(&[&friend.url("")], &[], &[]).await;
    assert_eq!(bed.ask(other, "say secret.token").await, "-");
    // A placeholder works only for its own worker, and no two are equal.
    let worker = bed.caller(&[&friend.url("")], &[], &["token"]).await;
    let placeholder = bed.ask(worker, "say secret.token").await;
    let third = bed.caller(&[&friend.url("")], &[], &["token"]).await;
    assert_ne!(bed.ask(third, "say secret.token").await, placeholder);
    for worker in [other, third] {
        bed.ask(worker, &format!("get {} x-key:{placeholder}", friend.url("/echo"))).await;
    }
    assert!(friend.heads().iter().all(|head| head.contains(&placeholder)));
    // A secret does not open a way to a host without a grant.
    let fourth = bed.caller(&[], &[], &["token"]).await;
    let answer = bed.ask(fourth, &format!("get {} x-key:$token", friend.url("/echo"))).await;
    assert_eq!(answer, "error ErrorCode::HttpRequestDenied");
}

/// Starts a host whose settings have a secret in a file and one in a variable, for one server.
fn host(serves: Serves, server: &Server, keys: &Path) -> Hosted {
    let dir = prepared();
    std::fs::write(keys.join("file.key"), format!("{VALUE}\n")).unwrap();
    let hosts = format!("hosts = ['{}']", server.url(""));
    let file = format!("[secrets.filed]\nfile = '{}'\n{hosts}\n", keys.join("file.key").display());
    let settings = format!("{file}[secrets.varied]\nenv = 'TEST_SECRET'\n{hosts}\n");
    std::fs::write(dir.join("skep.toml"), settings).unwrap();
    let environment = [("TEST_SECRET", "MARKER-of-a-variable"), ("SKEP_LOG", "trace")];
    Hosted { host: Served::start_in(serves, &dir, &[], &environment), dir }
}

#[test]
fn secrets_of_the_settings_are_never_printed_or_stored() {
    let (friend, keys) = (Server::start(), test_dir());
    let hosted = host(Serves::Up, &friend, &keys);
    let caller = skep_harness::guest("caller").to_str().unwrap().to_owned();
    let (url, echo) = (friend.url(""), friend.url("/echo"));
    let get = format!("get {echo} x-filed:$filed x-varied:$varied");
    let mut said = vec![
        hosted.good(&["worker", "create", &caller, "--name", "asker", "--http", &url]),
        hosted.skep(&["worker", "grant", "asker", "--secret", "unknown"]),
        hosted.good(&["worker", "grant", "asker", "--secret", "filed", "--secret", "varied"]),
        hosted.good(&["worker", "send", "asker", &get]),
    ];
    assert_eq!(said[1].code, 125, "{}", said[1].out);
    let echoed = &said[3].out;
    for (header, value) in [("x-filed", VALUE), ("x-varied", "MARKER-of-a-variable")] {
        assert!(echoed.contains(&format!("{header}: skep-secret-")), "{echoed}");
        assert!(friend.heads()[0].contains(&format!("{header}: {value}\r\n")), "{echoed}");
    }
    for verb in ["show", "diagnostics", "logs", "events", "usage"] {
        said.push(hosted.good(&["worker", verb, "asker"]));
        said.push(hosted.good(&["worker", verb, "asker", "--output", "json"]));
    }
    assert!(said.iter().any(|said| said.out.contains("request: GET http://")));
    // Run without that variable.
    said.push(hosted.skep(&["doctor"]));
    let doctor = &said.last().unwrap().out;
    assert!(doctor.contains("varied: the environment variable TEST_SECRET is not set"), "{doctor}");
    for said in &said {
        assert!(!said.out.contains("MARKER") && !said.err.contains("MARKER"), "{}", said.out);
    }
    let Hosted { mut host, dir } = hosted;
    host.terminate();
    assert_eq!(tainted(&dir), [""; 0]);
    let log = std::fs::read_to_string(dir.join("log")).unwrap();
    assert!(log.contains("filed: the file") && log.contains("is readable by other users"), "{log}");
    assert!(log.contains("TRACE"), "the log does not say everything");
}

#[test]
fn a_bare_runtime_knows_the_secrets_of_its_settings() {
    let (friend, keys) = (Server::start(), test_dir());
    let hosted = host(Serves::Runtime, &friend, &keys);
    let runtime = hosted.host.client(Serves::Runtime);
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    threads.block_on(async {
        let wasm = std::fs::read(skep_harness::guest("caller")).unwrap();
        let bytes = futures_util::stream::once(async { Ok(wasm.into()) });
        let stored = runtime.put_component(Box::pin(bytes), Role::Admin).await.unwrap();
        let with = |secret: &str| {
            let mut spec = WorkerSpec::new(stored.item.digest);
            spec.grants.secrets = vec![secret.parse().unwrap()];
            runtime.create(CreateWorker { worker_id: None, spec })
        };
        for known in ["filed", "varied"] {
            assert!(with(known).await.is_ok(), "{known}");
        }
        assert_eq!(with("unknown").await.unwrap_err(), Invalid::Secret.into());
    });
}

#[test]
fn a_host_with_a_missing_secret_does_not_start() {
    let dir = test_dir();
    let settings = "[secrets.key]\nfile = 'key'\nhosts = ['https://a.b']\n";
    std::fs::write(dir.join("skep.toml"), settings).unwrap();
    for verb in ["up", "runtime"] {
        let said = skep(&dir, &[verb, "--listen", "127.0.0.1:0"]);
        assert_eq!(said.code, 125);
        assert!(said.err.contains("error: the secret key: the file key cannot"), "{}", said.err);
        assert!(said.err.contains("hint: "), "{}", said.err);
    }
    assert!(!dir.join("store").exists(), "a store was made before the secret was read");
}
