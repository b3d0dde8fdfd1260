//! The console's files, which need no login and load nothing from elsewhere.

use skep_api::{Console, ServerLimits, Surface};

use crate::bed::Bed;

/// Addresses that the console understands.
const PAGES: [&str; 11] = [
    "/",
    "/login",
    "/workers",
    "/w/home/01980000-0000-7000-8000-000000000000",
    "/w/home/01980000-0000-7000-8000-000000000000/transcript",
    "/components",
    "/components/home/sha256:00",
    "/runtimes/home",
    "/ci/1/build",
    "/audit",
    "/access",
];

/// The whole policy: a part that is missing or added is a decision.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

#[tokio::test]
async fn a_deep_link_opens_without_a_login() {
    let bed = Bed::browser().await;
    for path in PAGES {
        let page = bed.ask("GET", path).send().await.is(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(page.header("cache-control"), "no-cache", "{path}");
        assert_eq!(page.header("content-security-policy"), POLICY, "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.body, "<!doctype html><title>Skep</title>", "{path}");
        bed.ask("HEAD", path).send().await.is(200);
        bed.ask("POST", path).bearer(&bed.admin).send().await.refused(405, "method_not_allowed");
    }
    for path in ["/nothing", "/workers/", "/w/home", "/w/a/b/c/d", "/index.html"] {
        bed.ask("GET", path).send().await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_browser_at_an_unknown_address_gets_the_page() {
    let bed = Bed::browser().await;
    let ask = |path: &str, accept: &str| bed.ask("GET", path).header("accept", accept).send();
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    let page = ask("/nothing", browser).await.is(404);
    assert_eq!(page.header("content-security-policy"), POLICY);
    assert_eq!(page.body, "<!doctype html><title>Skep</title>");
    for (path, accept) in
        [("/nothing", "*/*"), ("/api/nothing", browser), ("/assets/nothing.js", browser)]
    {
        ask(path, accept).await.refused(404, "not_found");
    }
    let runtime = Bed::runtime().await;
    let said = runtime.ask("GET", "/nothing").header("accept", browser).send().await;
    said.refused(404, "not_found");
}

#[tokio::test]
async fn assets_are_kept_for_a_year_and_sent_compressed() {
    let bed = Bed::browser().await;
    let script = || bed.ask("GET", "/assets/app-5a1c.js");
    for (accepted, encoding, body) in [
        ("gzip, deflate, br, zstd", "br", "brotli"),
        ("gzip", "gzip", "gzip"),
        ("br;q=0, gzip", "gzip", "gzip"),
        ("identity", "", "\"use strict\";"),
    ] {
        let said = script().header("accept-encoding", accepted).send().await.is(200);
        assert_eq!(said.header("content-encoding"), encoding, "{accepted}");
        assert_eq!(said.body, body, "{accepted}");
        assert_eq!(said.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(said.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(said.header("vary"), "accept-encoding");
    }
    let plain = script().send().await.is(200);
    assert_eq!((plain.header("content-encoding"), plain.body.len()), ("", 13));
    // Without a variant, the file itself is sent.
    let style = bed.ask("GET", "/assets/app-9f00.css").header("accept-encoding", "br").send().await;
    assert_eq!(style.is(200).header("content-encoding"), "");
    for name in ["app-5a1c.js.br", "app-0000.js", "..%2Findex.html", "%2e%2e/index.html", ""] {
        let said = bed.ask("GET", &format!("/assets/{name}")).send().await;
        said.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_build_without_the_console_names_its_command() {
    let limits = ServerLimits::default();
    let bed = Bed::serving(Console::built_in(), Surface::Browser, limits).await;
    let page = bed.ask("GET", "/workers").send().await.is(200);
    assert_eq!(page.header("content-security-policy"), POLICY);
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(text.contains("cargo xtask console"), "{text}");
    assert!(!text.contains("<script>") && !text.contains("style=") && !text.contains("onclick"));
    for (path, media) in
        [("/assets/login.js", "text/javascript"), ("/assets/login.css", "text/css")]
    {
        assert!(text.contains(&format!("\"{path}\"")));
        let part = bed.ask("GET", path).send().await.is(200);
        assert!(part.header("content-type").starts_with(media));
        assert_eq!(part.header("cache-control"), "no-cache", "its name does not change");
    }
}

#[tokio::test]
async fn a_runtime_serves_no_console() {
    let bed = Bed::runtime().await;
    for path in PAGES {
        bed.ask("GET", path).send().await.refused(404, "not_found");
    }
}
