//! What each member of a fleet may not do, tried with its own key against a real server with the files
//! of `skep fleet init`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions, Event, ServerError};
use skep_fleet::{FleetAccess, FleetConnection, FoundRuntimes, HostLog};
use skep_harness::NatsServers;
use skep_registry::SharedLog;
use tokio::sync::mpsc;

/// A server with the files of a fleet.
struct Server(NatsServers);

impl Server {
    fn start() -> Self {
        Self(NatsServers::start(1, &["alpha", "beta"]))
    }

    fn access(&self, file: &str) -> FleetAccess {
        self.access_by(file, "key")
    }

    /// Returns the access with one of the keys of a file.
    fn access_by(&self, file: &str, key: &str) -> FleetAccess {
        let text = std::fs::read_to_string(self.0.file(file)).unwrap();
        let file: toml::Table = text.parse().unwrap();
        FleetAccess {
            servers: vec![file["servers"][0].as_str().unwrap().to_owned()],
            ca: Some(self.0.file("ca.pem")),
            seed: file[key].as_str().unwrap().to_owned(),
            name: "test".to_owned(),
        }
    }

    async fn member(&self, file: &str) -> Member {
        self.member_by(file, "key").await
    }

    async fn member_by(&self, file: &str, key: &str) -> Member {
        let FleetAccess { servers, ca, seed, .. } = self.access_by(file, key);
        let key = nkeys::KeyPair::from_seed(&seed).unwrap().public_key();
        Member::connect(&servers[0], &ca.unwrap(), seed, key).await
    }
}

/// A subject of no member.
const BARRIER: &str = "barrier";

/// A connection of a member, and what the server refuses it.
struct Member {
    client: Client,
    key: String,
    refused: mpsc::UnboundedReceiver<String>,
}

impl Member {
    async fn connect(server: &str, ca: &Path, seed: String, key: String) -> Self {
        let (to, refused) = mpsc::unbounded_channel();
        let client = ConnectOptions::with_nkey(seed)
            .add_root_certificates(ca.to_owned())
            .custom_inbox_prefix(format!("_INBOX.{key}"))
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(error)) = &event {
                    let _ = to.send(error.clone());
                }
                std::future::ready(())
            })
            .connect(server)
            .await
            .unwrap();
        Self { client, key, refused }
    }

    /// Returns what the server refuses of what was sent.
    async fn refusals(&mut self) -> Vec<String> {
        // The server answers in order, and refuses this to every member.
        self.client.publish(BARRIER, "x".into()).await.unwrap();
        let mut all = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), self.refused.recv()).await;
            let refusal = next.expect("the server refuses it").expect("the connection lives");
            if refusal.contains(BARRIER) {
                return all;
            }
            all.push(refusal);
        }
    }

    async fn publishes(&mut self, subject: &str) -> bool {
        self.client.publish(subject.to_owned(), "x".into()).await.unwrap();
        self.refusals().await.is_empty()
    }

    async fn subscribes(&mut self, subject: &str) -> bool {
        let _held = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.refusals().await.is_empty()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_has_its_own_subjects_and_no_others() {
    let server = Server::start();
    let mut alpha = server.member("runtime-alpha.toml").await;
    let beta = server.member("runtime-beta.toml").await;
    let mut api = server.member("api.toml").await;
    let inbox = |member: &Member| format!("_INBOX.{}.1", member.key);
    let (of_alpha, of_beta, of_api) = (inbox(&alpha), inbox(&beta), inbox(&api));
    drop(beta);

    for good in ["up.d.s.1", "rt.default.alpha.up", "hb.default.alpha", "$KV.RT.alpha"] {
        assert!(alpha.publishes(good).await, "alpha publishes {good}");
    }
    for good in ["rt.default.alpha.dial", "rt.default.alpha.s.*", &of_alpha] {
        assert!(alpha.subscribes(good).await, "alpha subscribes {good}");
    }
    for bad in [
        "hb.default.beta",
        "hb.other.alpha",
        "$KV.RT.beta",
        "$KV.OTHER.alpha",
        "rt.default.beta.up",
        "rt.default.beta.dial",
        "rt.default.beta.s.1",
        "rt.default.alpha.dial",
        "up.d",
        "hosts.entry",
        "hosts.mark",
        "$JS.API.STREAM.INFO.HOSTS",
        "$JS.API.CONSUMER.CREATE.HOSTS.x",
        "$JS.API.STREAM.DELETE.KV_RT",
        "$JS.API.STREAM.PURGE.KV_RT",
        "$JS.API.STREAM.CREATE.X",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.MSG.GET.KV_RT",
        "$JS.API.DIRECT.GET.KV_RT.$KV.RT.beta",
        "$SYS.REQ.SERVER.PING",
        &of_beta,
        &of_api,
        "anything",
    ] {
        assert!(!alpha.publishes(bad).await, "alpha publishes {bad}");
    }
    for bad in [
        ">",
        "rt.>",
        "rt.default.*.dial",
        "rt.default.beta.dial",
        "rt.default.beta.s.*",
        "up.>",
        "up.d.s.1",
        "hb.>",
        "hb.default.beta",
        "$KV.>",
        "$KV.RT.beta",
        "_INBOX.>",
        "$SYS.>",
        "hosts.>",
        &of_beta,
        &of_api,
    ] {
        assert!(!alpha.subscribes(bad).await, "alpha subscribes {bad}");
    }

    for good in ["rt.default.alpha.dial", "rt.default.beta.s.1"] {
        assert!(api.publishes(good).await, "api publishes {good}");
    }
    for bad in [
        "up.d.s.1",
        "rt.default.alpha.up",
        "hb.default.alpha",
        "$KV.RT.alpha",
        "$JS.API.STREAM.DELETE.KV_RT",
        "$JS.API.STREAM.PURGE.KV_RT",
        "hosts.entry",
        "$JS.API.STREAM.CREATE.X",
        "$SYS.REQ.SERVER.PING.JSZ",
        &of_alpha,
        "anything",
    ] {
        assert!(!api.publishes(bad).await, "api publishes {bad}");
    }
    for bad in [">", "rt.>", "rt.default.alpha.dial", "$KV.>", "_INBOX.>", "$SYS.>", &of_alpha] {
        assert!(!api.subscribes(bad).await, "api subscribes {bad}");
    }

    let mut hosts = server.member_by("api.toml", "hosts_key").await;
    for good in ["hosts.entry", "hosts.mark"] {
        assert!(hosts.publishes(good).await, "hosts publish {good}");
    }
    for bad in [
        "hosts.other",
        "$KV.RT.alpha",
        "rt.default.alpha.dial",
        "$JS.API.STREAM.DELETE.HOSTS",
        "$JS.API.STREAM.PURGE.HOSTS",
        "$JS.API.STREAM.UPDATE.HOSTS",
        "$JS.API.STREAM.MSG.DELETE.HOSTS",
        "$JS.API.STREAM.CREATE.X",
        "$SYS.REQ.SERVER.PING.JSZ",
    ] {
        assert!(!hosts.publishes(bad).await, "hosts publish {bad}");
    }
    for bad in [">", "hosts.>", "hosts.entry", "up.>", "hb.>", "$SYS.>"] {
        assert!(!hosts.subscribes(bad).await, "hosts subscribe {bad}");
    }

    // The operator asks the servers how they are, and is in no other way in the fleet.
    let mut operator = server.member("operator.toml").await;
    assert!(operator.publishes("$SYS.REQ.SERVER.PING.JSZ").await);
    for bad in
        ["hosts.entry", "$KV.RT.alpha", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.SERVER.x.RELOAD"]
    {
        assert!(!operator.publishes(bad).await, "operator publishes {bad}");
    }
    for bad in [">", "hb.>", "hosts.>", "$SYS.>", "$SYS.ACCOUNT.>"] {
        assert!(!operator.subscribes(bad).await, "operator subscribes {bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_removes_no_record_of_another() {
    let server = Server::start();
    let host = FleetConnection::open(&server.access("api.toml")).await.unwrap();
    let has_beta = |found: &Arc<FoundRuntimes>| found.contains_key(&"beta".parse().unwrap());
    let mut found = skep_fleet::discover(&host, 1);
    let (alpha, beta) =
        (server.member("runtime-alpha.toml").await, server.member("runtime-beta.toml").await);
    let record =
        r#"{"runtime_id":"beta","host_id":"h","pool":"default","version":"1","process":"p"}"#;
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        // The host needs a moment to make the bucket.
        beta.client.publish("$KV.RT.beta", record.into()).await.unwrap();
        let seen = tokio::time::timeout(Duration::from_millis(500), found.wait_for(has_beta));
        if seen.await.is_ok() {
            break;
        }
        assert!(Instant::now() < until, "the record is not seen");
    }
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Rollup", "all");
    let rollup = async_nats::Request::new().headers(headers).payload("{}".into());
    let answer = alpha.client.send_request("$KV.RT.alpha", rollup).await.unwrap();
    let answer = String::from_utf8_lossy(&answer.payload).into_owned();
    assert!(answer.contains("error") && answer.contains("rollup"), "{answer}");
    // A host that comes later reads what is left.
    let mut later = skep_fleet::discover(&host, 1);
    let seen = tokio::time::timeout(Duration::from_secs(10), later.wait_for(has_beta));
    assert!(seen.await.is_ok(), "the record of beta is gone");
}

/// A member of an account can have a server's acknowledgement sent to any subject of that account.
#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_is_sent_elsewhere_harms_no_other() {
    let server = Server::start();
    let host = FleetConnection::open(&server.access("api.toml")).await.unwrap();
    let log = FleetConnection::open(&server.access_by("api.toml", "hosts_key")).await.unwrap();
    let log = HostLog::new(&log, 1);
    let _found = skep_fleet::discover(&host, 1);
    let (alpha, beta) =
        (server.member("runtime-alpha.toml").await, server.member("runtime-beta.toml").await);
    let first = log.append(b"{}".to_vec()).await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    // The bucket of the records is made soon.
    while alpha.client.request("$KV.RT.alpha", "{}".into()).await.is_err() {
        assert!(Instant::now() < until, "no record is stored");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for elsewhere in ["hosts.entry", "hosts.mark", "$KV.RT.beta"] {
        for _ in 0..10 {
            alpha.client.publish_with_reply("$KV.RT.alpha", elsewhere, "{}".into()).await.unwrap();
        }
    }
    alpha.client.request("$KV.RT.alpha", "{}".into()).await.unwrap();
    assert_eq!(log.append(b"{}".to_vec()).await.unwrap(), first + 1);

    // What is stored of beta is spoiled, and its signs of life are not.
    let beat = r#"{"runtime_id":"beta","host_id":"h","pool":"default","version":"1","process":"p","workers":0,"connected":0}"#;
    let mut found = skep_fleet::discover(&host, 1);
    let has_beta = |found: &Arc<FoundRuntimes>| found.contains_key(&"beta".parse().unwrap());
    loop {
        beta.client.publish("hb.default.beta", beat.into()).await.unwrap();
        let seen = tokio::time::timeout(Duration::from_millis(500), found.wait_for(has_beta));
        if seen.await.is_ok() {
            break;
        }
        assert!(Instant::now() < until, "beta is not seen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_does_not_connect() {
    let server = Server::start();
    let text = std::fs::read_to_string(server.0.file("api.toml")).unwrap();
    let file: toml::Table = text.parse().unwrap();
    let address = file["servers"][0].as_str().unwrap().to_owned();
    let ca = server.0.file("ca.pem");
    let stranger = nkeys::KeyPair::new_user().seed().unwrap();
    let refused = ConnectOptions::with_nkey(stranger).add_root_certificates(ca.clone());
    assert!(refused.connect(&address).await.is_err());
    assert!(ConnectOptions::new().add_root_certificates(ca).connect(&address).await.is_err());
    // Another authority signed this server's certificate.
    let seed = file["key"].as_str().unwrap().to_owned();
    assert!(ConnectOptions::with_nkey(seed).connect(&address).await.is_err());
}
