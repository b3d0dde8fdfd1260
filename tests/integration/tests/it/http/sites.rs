//! Sites: HTTP workers on addresses of their own.

use skep_harness::guest;

use super::client::{raw, with};
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

#[test]
fn a_route_that_is_wrong_keeps_the_host_from_starting() {
    let mut hosted = Hosted::start();
    hosted.host.terminate();
    for (route, says) in [
        ("{ worker = \"nobody\" }", "worker `nobody`"),
        ("{ worker = \"x\", path = \"a\" }", "does not begin with a slash"),
        ("{ worker = \"x\", auth = \"all\" }", "expected `token` or `public`"),
        ("{ path = \"/\" }", "worker"),
    ] {
        let text = format!("[[http]]\nlisten = \"127.0.0.1:0\"\nroutes = [{route}]\n");
        std::fs::write(hosted.dir.join("skep.toml"), text).unwrap();
        let said = skep(&hosted.dir, &["up", "--listen", "127.0.0.1:0"]);
        assert_eq!(said.code, 125, "{route}: {}", said.err);
        assert!(said.err.contains(says), "{route}: {}", said.err);
    }
}
