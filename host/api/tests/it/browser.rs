//! Logins, and cross-site requests that try to use them.

use serde_json::json;
use skep_conformance::Guest;
use skep_protocol::Role;

use crate::bed::Bed;
use crate::client::{Ask, Said};

impl Bed {
    fn origin(&self) -> String {
        format!("http://{}", self.addr)
    }

    async fn login(&self, body: serde_json::Value) -> Said {
        let ask = self.ask("POST", "/api/login").header("origin", &self.origin());
        ask.json(&body).send().await
    }

    /// Logs in with the admin's token, and returns the cookie.
    async fn cookie(&self) -> String {
        cookie(&self.login(json!({ "token": self.admin })).await.is(200))
    }

    fn with(&self, cookie: &str, method: &str, path: &str) -> Ask {
        self.ask(method, path).header("cookie", cookie)
    }
}

fn cookie(said: &Said) -> String {
    said.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_cookie_ends_with_logout() {
    let bed = Bed::browser().await;
    let said = bed.login(json!({ "token": bed.admin })).await.is(200);
    assert_eq!(said.json()["role"], "admin");
    let set = said.header("set-cookie").to_owned();
    let attributes: Vec<_> = set.split("; ").skip(1).collect();
    assert_eq!(attributes, ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"]);
    assert!(set.starts_with("skep_session=") && !set.contains(&bed.admin));
    let cookie = cookie(&said);
    let me = bed.with(&cookie, "GET", "/api/me").send().await.is(200).json();
    assert_eq!((&me["role"], &me["runtimes"]), (&json!("admin"), &json!(null)));
    let out = bed.with(&cookie, "POST", "/api/logout").header("origin", &bed.origin());
    let out = out.send().await.is(204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    bed.with(&cookie, "GET", "/api/me").send().await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_login_code_works_only_once() {
    let bed = Bed::browser().await;
    let code = bed.registry.access().login_code().unwrap();
    let body = json!({ "code": code.expose() });
    assert_eq!(bed.login(body.clone()).await.is(200).json()["role"], "admin");
    bed.login(body).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let bed = Bed::browser().await;
    let viewer = bed.token(Role::Viewer, Some("home"));
    let said = bed.login(json!({ "token": viewer })).await.is(200);
    let me = said.json();
    assert_eq!((&me["role"], &me["runtimes"]), (&json!("viewer"), &json!(["home"])));
    let cookie = cookie(&said);
    bed.registry.access().revoke(&me["token_id"].as_str().unwrap().parse().unwrap()).unwrap();
    bed.with(&cookie, "GET", "/api/me").send().await.refused(401, "unauthenticated");
    bed.ask("GET", "/api/me").bearer(&viewer).send().await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn guessing_is_throttled() {
    let bed = Bed::browser().await;
    bed.admin("GET", "/api/me").send().await.is(200);
    let mut said = Vec::new();
    for n in 0..12 {
        said.push(bed.login(json!({ "token": format!("skep_x_{n}") })).await);
    }
    let last = said.pop().unwrap().refused(429, "too_many_attempts");
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    said.remove(0).refused(401, "unauthenticated");
    // A token that was valid from this address before is not throttled.
    bed.admin("GET", "/api/me").send().await.is(200);
}

#[tokio::test]
async fn a_login_accepts_only_json_from_this_site() {
    let bed = Bed::browser().await;
    let body = json!({ "token": bed.admin }).to_string();
    let ask = || bed.ask("POST", "/api/login").body(body.clone());
    ask().header("content-type", "application/json").send().await.is(200);
    for form in
        ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
    {
        let said = ask().header("content-type", form).header("origin", &bed.origin()).send().await;
        said.refused(415, "unsupported_media_type");
    }
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let said = ask().header("content-type", "application/json").header("origin", origin);
        said.send().await.refused(403, "foreign_origin");
    }
    for nonsense in ["", "{}", "{\"token\":1}", "{\"token\":\"a\",\"code\":\"b\"}", "[]"] {
        let said = bed.ask("POST", "/api/login").body(nonsense).send().await;
        said.refused(400, "invalid_request");
    }
    let https = ask().header("content-type", "application/json");
    let https = https.header("origin", &bed.origin().replace("http:", "https:")).send().await;
    assert!(https.is(200).header("set-cookie").ends_with("; Secure"));
}

#[tokio::test]
async fn another_site_cannot_change_anything_with_a_cookie() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Echo).await;
    let cookie = bed.cookie().await;
    let stop = format!("{worker}/stop");
    let foreign = [
        "http://evil.example".to_owned(),
        "null".into(),
        String::new(),
        format!("http://{}.evil.example", bed.addr),
        format!("http://localhost:{}", bed.addr.port()),
        "http://127.0.0.1:1".into(),
        format!("ftp://{}", bed.addr),
    ];
    for origin in &foreign {
        let said = bed.with(&cookie, "POST", &stop).header("origin", origin).send().await;
        said.refused(403, "foreign_origin");
    }
    bed.with(&cookie, "POST", &stop).send().await.refused(403, "foreign_origin");
    let twice = bed.with(&cookie, "POST", &stop).header("origin", &bed.origin());
    twice.header("origin", &bed.origin()).send().await.refused(403, "foreign_origin");
    for form in ["application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=x"] {
        let inputs = bed.with(&cookie, "POST", &format!("{worker}/inputs")).body("a=b");
        let said = inputs.header("content-type", form).header("origin", &bed.origin()).send().await;
        said.refused(415, "unsupported_media_type");
    }
    for method in ["DELETE", "PATCH"] {
        bed.with(&cookie, method, &worker).send().await.refused(403, "foreign_origin");
    }
    let before = bed.admin("GET", &worker).send().await.is(200).json();
    assert_eq!(before["desired"], "running");

    bed.with(&cookie, "GET", &worker).send().await.is(200);
    bed.with(&cookie, "POST", &stop).header("origin", &bed.origin()).send().await.is(200);
    // A token is never sent by a browser on its own.
    let start =
        bed.admin("POST", &format!("{worker}/start")).header("origin", "http://evil.example");
    start.send().await.is(200);
}

#[tokio::test]
async fn an_unknown_host_header_is_refused() {
    let bed = Bed::browser().await;
    for host in
        ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:7070", "", "skep.example.evil"]
    {
        for path in ["/api/me", "/api/login", "/login", "/nothing"] {
            let said = bed.ask("GET", path).bearer(&bed.admin).header("host", host).send().await;
            said.refused(421, "misdirected_request");
        }
    }
    let twice = bed.admin("GET", "/api/me").header("host", "localhost").header("host", "localhost");
    twice.send().await.refused(421, "misdirected_request");
    for host in ["localhost", "LOCALHOST:7070", "[::1]:7070", "skep.example", "skep.example:443"] {
        bed.admin("GET", "/api/me").header("host", host).send().await.is(200);
    }
    bed.ask("GET", "/healthz").header("host", "10.0.0.7:7070").send().await.is(200);
    // Registries may use any host name for a runtime, and browsers have no token to send.
    let runtime = Bed::runtime().await;
    runtime.admin("GET", "/v1/runtime").header("host", "far.example").send().await.is(200);
}

#[tokio::test]
async fn a_runtime_ignores_cookies() {
    let browser = Bed::browser().await;
    let cookie = browser.cookie().await;
    let runtime = Bed::runtime().await;
    runtime.with(&cookie, "GET", "/v1/runtime").send().await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn the_openapi_document_is_served() {
    let bed = Bed::browser().await;
    let said = bed.admin("GET", "/api/openapi.json").send().await.is(200);
    assert_eq!(said.header("content-type"), "application/json");
    assert_eq!(said.json()["openapi"], "3.1.0");
}
