//! Denials, and the hints with the grant that would allow them.

use skep_harness::{Server, guest};

use crate::hosting::{Hosted, Said};
use crate::served::{Served, Serves};

/// Returns the denials that `show` lists, the latest first.
fn denied(hosted: &Hosted) -> Vec<serde_json::Value> {
    let shown = hosted.good(&["worker", "show", "asker", "--output", "json"]).json();
    shown["denied"].as_array().cloned().unwrap_or_default()
}

fn get(hosted: &Hosted, server: &Server) -> Said {
    hosted.good(&["worker", "send", "asker", &format!("get {}", server.url("/hello"))])
}

#[test]
fn a_denial_is_listed_with_its_command_until_it_is_granted() {
    let (first, second) = (Server::start(), Server::start());
    let hosted = Hosted::start();
    let caller = guest("caller").to_str().unwrap().to_owned();
    let made = hosted.good(&["worker", "create", &caller, "--name", "asker", "--output", "json"]);
    for server in [&first, &first, &second] {
        assert!(get(&hosted, server).out.contains("HttpRequestDenied"));
    }
    let url = first.url("");
    let typed = format!("skep worker grant asker --http {url}");
    let found = denied(&hosted);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        (&found[1]["wanted"], &found[1]["allow"]),
        (&format!("GET {url}").into(), &typed.clone().into())
    );

    let shown = hosted.good(&["worker", "show", "asker"]);
    assert!(shown.out.contains(&format!("  GET {url}\n")), "{}", shown.out);
    assert!(shown.err.contains(&format!("hint: `{typed}` allows GET {url}\n")), "{}", shown.err);
    let lines = hosted.good(&["worker", "logs", "asker"]);
    assert!(
        lines.err.contains(&format!("denied: GET {url}; `{typed}` allows it\n")),
        "{}",
        lines.err
    );
    // The command also works on another machine.
    let wherever = format!("{}/{}", hosted.host.runtime_id, made.text("worker_id"));
    let noticed = hosted.good(&["worker", "diagnostics", "asker"]).out;
    let command =
        format!("denied GET {url}; run `skep worker grant {wherever} --http {url}` to allow it");
    assert!(noticed.contains(&command), "{noticed}");
    let noticed = hosted.good(&["worker", "diagnostics", "asker", "--output", "json"]).json();
    assert_eq!(noticed["items"][1]["denial"]["grant"]["http"][0]["host"], "127.0.0.1");

    let words: Vec<_> = typed.split(' ').skip(1).collect();
    hosted.good(&words);
    assert!(get(&hosted, &first).out.contains("status 200"));
    let left = denied(&hosted);
    assert_eq!(
        (left.len(), &left[0]),
        (1, &found[0]),
        "a denial that still applies is still listed"
    );

    // After a revocation the denial is listed again.
    hosted.good(&["worker", "revoke", "asker", "--http", &url]);
    assert!(get(&hosted, &first).out.contains("HttpRequestDenied"));
    let again = denied(&hosted);
    assert_eq!((again.len(), &again[0]["allow"]), (2, &typed.into()));
    let Hosted { mut host, dir } = hosted;
    host.terminate();
    let hosted = Hosted { host: Served::start(Serves::Up, &dir), dir };
    assert_eq!(denied(&hosted), again);
    assert!(get(&hosted, &second).out.contains("HttpRequestDenied"));
    let after: Vec<_> = denied(&hosted).iter().map(|one| one["wanted"].clone()).collect();
    assert_eq!(after, [found[0]["wanted"].clone(), found[1]["wanted"].clone()]);
}

#[test]
fn only_the_latest_denials_are_kept() {
    let hosted = Hosted::start();
    let caller = guest("caller").to_str().unwrap().to_owned();
    hosted.good(&["worker", "create", &caller, "--name", "asker"]);
    for port in 1..=12 {
        hosted.good(&["worker", "send", "asker", &format!("get http://a.test:{port}/")]);
    }
    let found = denied(&hosted);
    let wanted: Vec<_> = found.iter().map(|one| one["wanted"].as_str().unwrap()).collect();
    let expected: Vec<_> = (5..=12).rev().map(|port| format!("GET http://a.test:{port}")).collect();
    assert_eq!(wanted, expected);
}
