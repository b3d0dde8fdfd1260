//! Sites: HTTP workers on addresses of their own.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use skep_harness::guest;

use super::client::{Answer, connect, over, raw, with};
use crate::hosting::{Hosted, skep};
use crate::served::{Served, Serves};

/// Restarts a host with these sections in its settings. Returns the URLs of its sites.
fn restarted(hosted: &mut Hosted, sections: &str) -> Vec<String> {
    hosted.host.terminate();
    let settings = format!("[runtime]\nstop_grace_ms = 300\n{sections}");
    std::fs::write(hosted.dir.join("skep.toml"), settings).unwrap();
    hosted.host = Served::start(Serves::Up, &hosted.dir);
    hosted.host.sites.clone()
}

#[test]
fn a_route_decides_which_worker_answers_and_for_whom() {
    let mut hosted = Hosted::start();
    let component = guest("responder");
    let create = |name: &str| {
        let component = component.to_str().unwrap();
        let step = format!("step={name}");
        let words = ["worker", "create", component, "--config", &step, "--output", "json"];
        hosted.good(&words).text("worker_id")
    };
    let (shop, admin) = (create("shop"), create("admin"));
    let runtime = hosted.host.runtime_id.clone();
    let sites = restarted(
        &mut hosted,
        &format!(
            r#"
            [[http]]
            listen = "127.0.0.1:0"
            routes = [
                {{ host = "shop.example", worker = "{runtime}/{shop}", auth = "public" }},
                {{ host = "shop.example", path = "/config/step", worker = "{admin}" }},
                {{ path = "/hello", worker = "{shop}", auth = "public" }},
            ]
            "#
        ),
    );
    let [site] = &sites[..] else { panic!("{sites:?}") };
    let ask = |host: &str, target: &str, headers: &[(&str, &str)]| {
        with(site, "GET", target, &[&[("host", host)], headers].concat(), b"")
    };
    let sent = [("cookie", "a=b; skep_session=x"), ("authorization", "Basic mine")];
    let seen = ask("shop.example:81", "/headers", &sent).is(200).text();
    assert_eq!(
        seen,
        "authorization: Basic mine\ncookie: a=b; skep_session=x\n\
         forwarded: for=127.0.0.1;proto=http\n",
        "a public route's credentials are between the worker and its clients"
    );
    let own = ask("shop.example", "/set/set-cookie/a=b", &[]).is(200);
    assert_eq!(
        (own.header("set-cookie"), own.header("content-security-policy")),
        (Some("a=b"), None)
    );
    ask("shop.example", "/config/step", &[]).is(401);
    let bearer = format!("Bearer {}", hosted.host.token);
    let token = [("authorization", &*bearer)];
    assert_eq!(ask("shop.example", "/config/step", &token).is(200).text(), "admin");
    let viewer = skep(&hosted.dir, &["token", "create", "--role", "viewer"]).out;
    let viewer = format!("Bearer {}", viewer.trim());
    ask("shop.example", "/config/step", &[("authorization", &viewer)]).is(403);

    assert_eq!(ask("localhost", "/hello", &[]).is(200).text(), "hello\n");
    for (host, target) in [
        ("evil.example", "/hello"),
        ("shop.example.evil.example", "/hello"),
        ("localhost", "/headers"),
        ("localhost", "/hellos"),
    ] {
        ask(host, target, &[]).is(404);
    }
    let none = raw(site, b"GET /hello HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
    assert_eq!(none.status, 404);
    // Nothing of the host's own API is there.
    ask("localhost", "/api/me", &token).is(404);
}

/// Sends a request over TLS to a site with this certificate.
fn over_tls(site: &str, certificate: &CertificateDer<'static>, request: &[u8]) -> Option<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = connect(&site.replacen("https:", "http:", 1));
    over(&mut StreamOwned::new(session, socket), request)
}

#[test]
fn a_site_with_a_certificate_speaks_tls_alone() {
    const REQUEST: &[u8] = b"GET /headers HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut hosted = Hosted::start();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(hosted.dir.join("shop.pem"), made.cert.pem()).unwrap();
    std::fs::write(hosted.dir.join("shop.key"), made.signing_key.serialize_pem()).unwrap();
    let component = guest("responder");
    let words = ["worker", "create", component.to_str().unwrap(), "--output", "json"];
    let worker = hosted.good(&words).text("worker_id");
    let section = |cert: &str, key: &str| {
        format!(
            "[[http]]\nlisten = \"127.0.0.1:0\"\ntls = {{ cert = \"{cert}\", key = \"{key}\" }}\n\
             routes = [{{ worker = \"{worker}\", auth = \"public\" }}]\n"
        )
    };
    let sites = restarted(&mut hosted, &section("shop.pem", "shop.key"));
    let [site] = &sites[..] else { panic!("{sites:?}") };
    assert!(site.starts_with("https://127.0.0.1:"), "{site}");
    let seen = over_tls(site, made.cert.der(), REQUEST).unwrap().is(200).text();
    assert_eq!(seen, "forwarded: for=127.0.0.1;proto=https\n");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    assert!(over_tls(site, other.cert.der(), REQUEST).is_none(), "another's certificate");
    let mut plain = connect(&site.replacen("https:", "http:", 1));
    plain.write_all(REQUEST).unwrap();
    let mut told = Vec::new();
    // The server may reset the connection.
    let _ = plain.read_to_end(&mut told);
    assert!(told.len() < 16 && !told.starts_with(b"HTTP"), "{told:?}");

    // The first bytes of a handshake whose rest never comes.
    let mut unfinished = connect(&site.replacen("https:", "http:", 1));
    unfinished.write_all(&[22, 3, 1, 1, 0, 1, 0, 0]).unwrap();
    over_tls(site, made.cert.der(), REQUEST).unwrap().is(200);
    let end = unfinished.read_to_end(&mut told);
    assert!(
        !end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "a client keeps a connection without a handshake"
    );

    hosted.host.terminate();
    for (cert, key, says) in [
        ("none.pem", "shop.key", "none.pem: No such file"),
        ("shop.pem", "shop.pem", "shop.pem: not a PEM file of a private key"),
        ("shop.key", "shop.key", "shop.key: not a PEM file of certificates"),
    ] {
        std::fs::write(hosted.dir.join("skep.toml"), section(cert, key)).unwrap();
        let said = skep(&hosted.dir, &["up", "--listen", "127.0.0.1:0"]);
        assert_eq!(said.code, 125, "{}", said.err);
        assert!(said.err.contains(says), "{}", said.err);
    }
}

#[test]
fn a_route_is_added_and_removed_while_the_host_runs() {
    let mut hosted = Hosted::start();
    let component = guest("responder");
    let create = |name: &str| {
        let component = component.to_str().unwrap();
        let step = format!("step={name}");
        let words = ["worker", "create", component, "--config", &step, "--name", name];
        hosted.good(&[&words[..], &["--output", "json"]].concat()).text("worker_id")
    };
    let (shop, other) = (create("shop"), create("other"));
    let section = |public: bool| {
        format!(
            "[[http]]\nlisten = \"127.0.0.1:0\"\npublic = {public}\n\
             routes = [{{ host = \"fixed.example\", worker = \"{other}\", auth = \"public\" }}]\n"
        )
    };
    let site = restarted(&mut hosted, &section(true)).remove(0);
    let ask =
        |site: &str, host: &str, target: &str| with(site, "GET", target, &[("host", host)], b"");
    ask(&site, "shop.example", "/config/step").is(404);
    let add = ["route", "add", "shop.example/", "shop", "--auth", "public", "--output", "json"];
    let added = hosted.good(&add).json();
    assert_eq!((&added["state"], &added["site"]), (&"active".into(), &"main".into()));
    assert_eq!(ask(&site, "Shop.example:81", "/config/step").is(200).text(), "shop");
    ask(&site, "evil.example", "/config/step").is(404);
    ask(&site, "localhost", "/config/step").is(404);
    // A longer path to the other worker, with a token.
    let place = format!("{}/{other}", hosted.host.runtime_id);
    hosted.good(&["route", "add", "shop.example/config/step", &place]);
    ask(&site, "shop.example", "/config/step").is(401);
    assert_eq!(ask(&site, "shop.example", "/config/steps").is(200).text(), "");
    let bearer = format!("Bearer {}", hosted.host.token);
    let headers = [("host", "shop.example"), ("authorization", &*bearer)];
    assert_eq!(with(&site, "GET", "/config/step", &headers, b"").is(200).text(), "other");
    let listed = hosted.good(&["route", "list"]).out;
    for part in ["fixed.example/", "skep.toml", "shop.example/config/step", "skep route", &shop] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    for secret in [&site["http://".len()..], hosted.dir.to_str().unwrap(), &hosted.host.token] {
        assert!(!listed.contains(secret), "{listed}");
    }

    for (words, says) in [
        (&["route", "add", "fixed.example/", "shop"][..], "remove it first"),
        (&["route", "add", "shop.example", "shop"], "a route is HOST/PATH"),
        (&["route", "add", "a.example/", "shop", "--site", "side"], "there is no site side"),
        (&["route", "rm", "fixed.example/"], "routes of skep.toml are removed there"),
    ] {
        let said = hosted.skep(words);
        assert!(said.code != 0 && said.err.contains(says), "{words:?}: {}", said.err);
    }
    for role in ["viewer", "operator"] {
        let token = hosted.good(&["token", "create", "--role", role]).out;
        std::fs::write(hosted.dir.join("token"), token).unwrap();
        let with_token = ["--host", &hosted.host.url, "--token-file", "token"];
        for words in [
            &["route", "add", "b.example/", "shop"][..],
            &["route", "rm", "shop.example/"],
            &["route", "list"],
        ] {
            let said = hosted.skep(&[words, &with_token].concat());
            assert_eq!(said.code, 125, "{role} {words:?}");
            assert!(said.err.contains("it takes the role admin"), "{}", said.err);
        }
    }

    // A restart keeps the routes. Where the settings allow no public ones any more, a token is needed.
    let site = restarted(&mut hosted, &section(true)).remove(0);
    assert_eq!(ask(&site, "shop.example", "/config/a").is(200).text(), "");
    let site = restarted(&mut hosted, &section(false)).remove(0);
    ask(&site, "shop.example", "/config/a").is(401);
    assert_eq!(ask(&site, "fixed.example", "/config/step").is(200).text(), "other");
    assert!(hosted.good(&["route", "list"]).out.contains("token only"));
    let refused = hosted.skep(&["route", "add", "c.example/", "shop", "--auth", "public"]);
    assert!(refused.code == 125 && refused.err.contains("public = true"), "{}", refused.err);
    let refused = hosted.good(&["audit", "--action", "route.add", "--output", "json"]).json();
    let first = &refused["items"][0];
    assert_eq!((&first["outcome"], &first["worker_id"]), (&"forbidden".into(), &shop.into()));
    assert_eq!(first["after"]["route"]["prefix"], "c.example/");

    hosted.good(&["route", "rm", "shop.example/"]);
    let bearer = format!("Bearer {}", hosted.host.token);
    let headers = [("host", "shop.example"), ("authorization", &*bearer)];
    with(&site, "GET", "/config/a", &headers, b"").is(404);
    with(&site, "GET", "/config/step", &headers, b"").is(200);
    let removed = hosted.good(&["audit", "--action", "route.remove", "--last", "1"]).out;
    assert!(removed.contains("route shop.example/") && removed.contains("ok"), "{removed}");
}

#[test]
fn a_route_that_is_wrong_keeps_the_host_from_starting() {
    let mut hosted = Hosted::start();
    hosted.host.terminate();
    for (route, says) in [
        ("{ worker = \"nobody\" }", "worker `nobody`"),
        ("{ worker = \"x\", path = \"a\" }", "does not begin with a slash"),
        ("{ worker = \"x\", auth = \"all\" }", "expected `token` or `public`"),
        ("{ path = \"/\" }", "worker"),
        ("{ worker = \"x\", host = \"a.example:81\" }", "a host without a port"),
        ("{ worker = \"x\", path = \"/a/../b\" }", "a path without"),
    ] {
        let text = format!("[[http]]\nlisten = \"127.0.0.1:0\"\nroutes = [{route}]\n");
        std::fs::write(hosted.dir.join("skep.toml"), text).unwrap();
        let said = skep(&hosted.dir, &["up", "--listen", "127.0.0.1:0"]);
        assert_eq!(said.code, 125, "{route}: {}", said.err);
        assert!(said.err.contains(says), "{route}: {}", said.err);
    }
    let twice = "[[http]]\nlisten = \"127.0.0.1:0\"\n".repeat(2);
    std::fs::write(hosted.dir.join("skep.toml"), twice).unwrap();
    let said = skep(&hosted.dir, &["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(said.code, 125);
    assert!(said.err.contains("have the name `main`"), "{}", said.err);
}
