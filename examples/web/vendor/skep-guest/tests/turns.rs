//! The double enforces the same rules on a worker as the host.
#![cfg(not(target_family = "wasm"))]

use skep_guest::{
    ConnectReason, Failure, Input, Lifecycle, Output, Worker, config, context, data_dir, fetch,
    state, testing, transcript,
};

/// A worker that does what its input says.
struct Script;

impl Worker for Script {
    fn handle(input: Input) -> Result<Output, Failure> {
        match input.text()? {
            "write" => state::set("key", "value")?,
            "write and fail" => {
                state::set("key", "other")?;
                transcript::emit_text("tried", "it")?;
                return Err(Failure::new("asked", "the input asked for it"));
            }
            "write and panic" => {
                state::set("key", "other")?;
                panic!("the input asked for it");
            }
            "who" => {
                let input_id = context::input_id().expect("a turn has an input");
                return Ok(Output::text(format!("{input_id} {}", context::attempt())));
            }
            "flood" => {
                while transcript::emit("tick", "text/plain", "").is_ok() {}
                transcript::emit("tick", "text/plain", "")?;
            }
            other => return Err(Failure::new("bad-request", other)),
        }
        Ok(Output::text("ok"))
    }
}

impl Lifecycle for Script {
    fn connected(_: ConnectReason) {
        let refused = state::set("key", "from a hook");
        assert!(matches!(refused, Err(state::Error::Unavailable(_))));
        assert_eq!(state::get_string("key"), Ok(None));
    }
}

skep_guest::worker!(Script, lifecycle);

fn send(text: &str) -> Result<Output, Failure> {
    testing::handle::<Script>(Input::text_plain(text))
}

#[test]
fn a_turn_that_fails_leaves_the_state_and_keeps_its_events() {
    send("write").unwrap();
    assert_eq!(send("write and fail").unwrap_err().code, "asked");
    assert_eq!(testing::state()["key"], b"value");
    assert_eq!(testing::events().len(), 1);
}

#[test]
fn a_turn_that_panics_leaves_the_state() {
    send("write").unwrap();
    assert!(std::panic::catch_unwind(|| send("write and panic")).is_err());
    assert_eq!(testing::state()["key"], b"value");
    assert_eq!(context::input_id(), None);
}

#[test]
fn a_turn_knows_its_input_and_its_attempt() {
    testing::set_attempt(2);
    let answer = String::from_utf8(send("who").unwrap().body).unwrap();
    assert!(answer.ends_with(" 2"), "{answer}");
    assert_eq!(context::input_id(), None);
}

#[test]
fn a_body_that_is_not_text_is_a_failure() {
    let refused = testing::handle::<Script>(Input::new("text/plain", [0xff])).unwrap_err();
    assert_eq!(refused.code, "not-text");
}

#[test]
fn hooks_read_the_state_and_cannot_write_it() {
    testing::connected::<Script>(ConnectReason::Created);
    testing::disconnecting::<Script>();
    assert_eq!(state::set("key", "after"), Ok(()));
}

#[test]
fn keys_are_listed_in_order_over_several_pages() {
    for n in 0..2_500 {
        state::set(&format!("n/{n:04}"), "").unwrap();
    }
    state::set("o", "").unwrap();
    let keys: Vec<_> = state::list("n/").collect::<Result<_, _>>().unwrap();
    assert_eq!(keys.len(), 2_500);
    assert!(keys.is_sorted());
    assert_eq!(state::list("p").next(), None);
    assert_eq!(state::delete("o"), Ok(true));
    assert_eq!(state::delete("o"), Ok(false));
}

#[test]
fn keys_and_kinds_outside_the_rules_are_refused() {
    assert_eq!(state::set("", ""), Err(state::Error::InvalidKey));
    assert_eq!(state::get(&"k".repeat(513)), Err(state::Error::InvalidKey));
    assert_eq!(state::set(&"k".repeat(512), ""), Ok(()));
    for kind in ["", "Upper", "with space", &"k".repeat(65)] {
        let refused = transcript::emit_text(kind, "");
        assert_eq!(refused, Err(transcript::Error::InvalidKind), "{kind:?}");
    }
}

#[test]
fn excess_sizes_and_counts_are_refused_with_the_limit() {
    let large = vec![0; (256 << 10) + 1];
    assert_eq!(
        transcript::emit("blob", "application/octet-stream", &large),
        Err(transcript::Error::TooLarge(256 << 10))
    );
    assert_eq!(state::set("k", vec![0; 64 << 20]), Err(state::Error::TooLarge(64 << 20)));
    assert_eq!(send("flood").unwrap_err().code, "transcript-too-many");
    assert_eq!(testing::events().len(), 10_000);
}

#[test]
fn a_worker_reads_its_own_earlier_turns() {
    send("write").unwrap();
    send("write and fail").unwrap_err();
    let page = transcript::read(0, 100).unwrap();
    let kinds: Vec<_> = page.entries.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["input", "output", "input", "event", "failure"]);
    assert_eq!(page.entries[3].event.as_deref(), Some("tried"));
    assert_eq!(page.entries[4].event, None);
    assert_eq!(page.next, None);

    let part = transcript::read(1, 2).unwrap();
    assert_eq!(part.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(part.next, Some(3));
}

#[test]
fn config_is_sorted_and_reset_forgets_everything() {
    testing::set_config([("b", "2"), ("a", "1")]);
    assert_eq!(config::get_all(), [("a".into(), "1".into()), ("b".into(), "2".into())]);
    assert_eq!(config::get("c"), None);
    std::fs::write(data_dir().join("file"), "x").unwrap();
    let before = data_dir();
    testing::reset();
    assert!(!before.exists());
    assert_eq!(config::get("a"), None);
    assert!(data_dir().read_dir().unwrap().next().is_none());
}

#[test]
fn requests_go_to_the_servers_of_the_test_and_follow_redirects() {
    let request = fetch::Request::post("http://a.test/old", "body");
    let denied = Failure::from(fetch::send(&request).unwrap_err());
    assert_eq!(denied.code, "fetch-denied");

    testing::set_server(|request| match request.url.as_str() {
        "http://a.test/old" => {
            let mut response = fetch::Response::new(303, "");
            response.headers.push(("location".to_owned(), "new".to_owned()));
            Ok(response)
        }
        "http://a.test/loop" => {
            let mut response = fetch::Response::new(302, "");
            response.headers.push(("location".to_owned(), "loop".to_owned()));
            Ok(response)
        }
        _ => Ok(fetch::Response::new(200, request.method.clone())),
    });
    let response = fetch::send(&request).unwrap();
    assert_eq!((response.url.as_str(), response.text()), ("http://a.test/new", Ok("GET")));

    let endless = fetch::send(&fetch::Request::get("http://a.test/loop")).unwrap_err();
    assert_eq!(Failure::from(endless).code, "fetch-failed");
    let mut kept = request;
    kept.follow_redirects = false;
    assert_eq!(fetch::send(&kept).unwrap().status, 303);
}
