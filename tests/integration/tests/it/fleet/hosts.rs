//! Hosts of one fleet: they agree on tokens, sessions and the audit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use skep_harness::NatsServers;

use super::{FleetHost, NatsFleet, PATIENCE};
use crate::http::client;
use crate::served::Served;

/// The bound of a change's effect at other hosts.
const BOUND: Duration = Duration::from_secs(2);

fn bearer(host: &Served, token: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    client::with(&host.url, "GET", "/api/me", &[("authorization", &authorization)], b"").status
}

fn with_cookie(host: &Served, cookie: &str) -> u16 {
    client::with(&host.url, "GET", "/api/me", &[("cookie", cookie)], b"").status
}

fn post(host: &Served, token: &str, path: &str, body: &serde_json::Value) -> client::Answer {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    client::with(&host.url, "POST", path, &headers, body.to_string().as_bytes())
}

/// Makes a token, once the servers have elected their leaders.
fn token(host: &FleetHost, role: &str) -> serde_json::Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let said = host.skep(&["token", "create", "--role", role, "--output", "json"]);
        if said.code == 0 {
            return said.json();
        }
        assert!(Instant::now() < until && said.err.contains("busy"), "{}{}", said.out, said.err);
    }
}

/// Waits until a host accepts a token, which it cannot while its servers elect a leader.
fn until_accepted(host: &Served, token: &str) {
    let until = Instant::now() + PATIENCE;
    while bearer(host, token) != 200 {
        assert!(Instant::now() < until, "the token is not accepted");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Logs in, and returns the cookie.
fn log_in(host: &Served, token: &str) -> String {
    let headers = [("content-type", "application/json")];
    let body = json!({ "token": token }).to_string();
    let said = client::with(&host.url, "POST", "/api/login", &headers, body.as_bytes()).is(200);
    let cookie = said.header("set-cookie").unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// Returns the tokens whose creation is in the audit.
fn audited(host: &FleetHost) -> BTreeSet<String> {
    let said = host.good(&["audit", "--action", "token.create", "--last", "10000"]);
    let items = said["items"].as_array().unwrap().iter();
    items.map(|item| item["after"]["token"]["token_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_token_a_session_and_their_end_count_at_every_host() {
    let fleet = NatsFleet(NatsServers::start(3, &["alpha"]));
    let hosts = [(); 3].map(|()| FleetHost::start(&fleet));
    let made = token(&hosts[0], "operator");
    let (token, id) = (made["token"].as_str().unwrap(), made["token_id"].as_str().unwrap());
    for host in &hosts {
        until_accepted(&host.host, token);
        assert!(host.good(&["token", "list"])["items"].to_string().contains(id));
    }
    let cookie = log_in(&hosts[1].host, token);
    for host in &hosts {
        let until = Instant::now() + PATIENCE;
        while with_cookie(&host.host, &cookie) == 503 {
            assert!(Instant::now() < until, "the session is not known");
        }
        assert_eq!(with_cookie(&host.host, &cookie), 200);
    }
    hosts[2].good(&["token", "revoke", id]);
    let revoked = Instant::now();
    for host in &hosts {
        loop {
            let asked = Instant::now();
            let said = [bearer(&host.host, token), with_cookie(&host.host, &cookie)];
            if said == [401; 2] {
                break;
            }
            if said.contains(&200) {
                assert!(asked - revoked < BOUND, "accepted {:?} later", asked - revoked);
            }
            assert!(asked - revoked < PATIENCE, "{said:?}");
        }
    }
    let said = hosts.each_ref().map(|host| host.good(&["audit"])["items"].clone());
    assert_eq!((&said[0], &said[1]), (&said[1], &said[2]));
    assert!(said[0].to_string().contains("token.revoke"));
}

#[test]
fn every_acknowledged_change_of_a_killed_host_is_in_the_audit_of_the_others() {
    let fleet = NatsFleet(NatsServers::start(3, &["alpha"]));
    let (mut one, other) = (FleetHost::start(&fleet), FleetHost::start(&fleet));
    let admin = token(&one, "admin")["token"].clone();
    let admin = admin.as_str().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..4 {
        let (url, token) = (one.host.url.clone(), admin.to_owned());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let creating = std::thread::spawn(move || {
            let mut made = Vec::new();
            let authorization = format!("Bearer {token}");
            let headers =
                [("authorization", authorization.as_str()), ("content-type", "application/json")];
            // Until the host is killed.
            while let Ok(mut stream) =
                std::net::TcpStream::connect(url.strip_prefix("http://").unwrap())
            {
                let body = br#"{"role":"viewer"}"#;
                let head = client::request(&url, "POST", "/api/tokens", &headers, body.len());
                let sent = [head.as_bytes(), body].concat();
                let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    client::over(&mut stream, &sent)
                }));
                match said {
                    Ok(Some(said)) if said.status == 201 && said.is_whole => {
                        made.push(said.json()["token_id"].as_str().unwrap().to_owned());
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                    _ => {}
                }
            }
            made
        });
        let until = Instant::now() + PATIENCE;
        while count.load(Ordering::SeqCst) < 6 {
            assert!(Instant::now() < until, "nothing is acknowledged");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(70 * round));
        one.host.kill();
        acknowledged.extend(creating.join().unwrap());
        one.host = FleetHost::serve(&fleet, &one.dir);
    }
    for host in [&one, &other] {
        let audited = audited(host);
        let lost: Vec<_> = acknowledged.difference(&audited).collect();
        assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
    }
}

#[test]
fn without_most_servers_credentials_are_unknown_and_the_operator_goes_on() {
    let fleet = NatsFleet(NatsServers::start(3, &["alpha"]));
    let host = FleetHost::start(&fleet);
    let made = token(&host, "admin");
    let token = made["token"].as_str().unwrap();
    until_accepted(&host.host, token);
    // Two of three stand still: connections to them stay open.
    fleet.0.pause(1, true);
    fleet.0.pause(2, true);
    let paused = Instant::now();
    loop {
        let asked = Instant::now();
        match bearer(&host.host, token) {
            200 => assert!(asked - paused < BOUND, "accepted {:?} later", asked - paused),
            status => {
                assert_eq!(status, 503);
                break;
            }
        }
    }
    // The operator's own token needs no fleet, but the change does.
    let said = post(&host.host, &host.host.token, "/api/tokens", &json!({ "role": "viewer" }));
    assert_eq!(said.is(503).json()["code"], "busy");
    host.good(&["runtimes"]);
    fleet.0.pause(1, false);
    fleet.0.pause(2, false);
    until_accepted(&host.host, token);
    post(&host.host, token, "/api/tokens", &json!({ "role": "viewer" })).is(201);
}

#[test]
fn a_host_starts_before_its_servers() {
    let fleet = NatsFleet::start(&["alpha"]);
    fleet.0.kill(1);
    let host = FleetHost::start(&fleet);
    assert_eq!(bearer(&host.host, "skep_0123456789ab_x"), 503);
    host.good(&["worker", "list"]);
    let starting = std::thread::spawn({
        let (file, dir) = (fleet.file("runtime-alpha.toml"), crate::served::prepared());
        move || {
            let runtime = Served::start_with(
                crate::served::Serves::Runtime,
                &dir,
                &["--fleet", super::text(&file)],
            );
            (runtime, dir)
        }
    });
    fleet.0.start_again(1);
    let _runtime = starting.join().unwrap();
    host.until_status("alpha", "available");
    let until = Instant::now() + PATIENCE;
    while bearer(&host.host, "skep_0123456789ab_x") != 401 {
        assert!(Instant::now() < until, "the host does not follow");
        std::thread::sleep(Duration::from_millis(100));
    }
    let made = token(&host, "admin");
    until_accepted(&host.host, made["token"].as_str().unwrap());
    // A host that the environment names is another one.
    let listed = std::process::Command::new(skep_harness::skep())
        .args(["token", "list", "--store"])
        .arg(host.dir.join("store"))
        .env("SKEP_HOST", "http://127.0.0.1:1")
        .output()
        .unwrap();
    let id = made["token_id"].as_str().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains(id));
    // The tokens of this store are in the fleet, also while no host reaches it.
    let FleetHost { mut host, dir } = host;
    host.terminate();
    let said = crate::hosting::skep(&dir, &["token", "list"]);
    assert!(said.code != 0 && said.err.contains("skep up --fleet"), "{}", said.err);
}
