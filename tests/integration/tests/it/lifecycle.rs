//! The lifecycle hooks of a worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_protocol::Limits;
use skep_sandbox::{ConnectReason, Ended, KillReason, Profile};

use crate::live::{Live, Notes, go, load};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn the_connected_hook_gets_the_reason() {
    go(async {
        for (reason, word) in [
            (ConnectReason::Created, "created"),
            (ConnectReason::Input, "input"),
            (ConnectReason::Restart, "restart"),
            (ConnectReason::Update, "update"),
        ] {
            let mut live = Live::scribe(Limits::default(), Notes::new().turn("1")).await;
            live.instance.connected(reason).await.unwrap();
            let who = live.ask("whoami").await;
            assert!(who.contains(&format!("\nconnected {word}\n")), "{who}");
        }
    });
}

#[test]
fn a_worker_without_hooks_gets_no_hook_calls() {
    go(async {
        for guest in ["echo", "hello", "preview1/probe"] {
            let loaded = load(guest, Profile::Default);
            let turn = Notes::new().turn("1");
            let mut live = Live::connect(&loaded, Limits::default(), turn, Arc::default()).await;
            live.instance.connected(ConnectReason::Created).await.unwrap();
            live.instance.disconnecting(LONG).await;
            assert_eq!(live.stderr(), "");
        }
    });
}

#[test]
fn a_hook_can_read_state_but_not_write_it() {
    go(async {
        let notes = Notes::new();
        notes.state.lock().unwrap().insert("a".into(), b"kept".into());
        let connected = async |command: &str| {
            let record = notes.configured("1", &[("connected", command)]);
            let mut live = Live::scribe(Limits::default(), record).await;
            live.instance.connected(ConnectReason::Created).await.unwrap();
            live.stderr()
        };
        assert!(connected("get a").await.ends_with("connected: kept\n"));
        assert!(connected("emit note text").await.ends_with("connected: ok\n"));
        for command in ["set a other", "del a"] {
            let said = connected(command).await;
            assert!(said.contains("state cannot be written in a lifecycle hook"), "{said}");
        }
        assert_eq!(notes.state.lock().unwrap()["a"], b"kept");
        assert_eq!(notes.events(), ["note text"]);
    });
}

#[test]
fn state_can_be_written_after_the_hook() {
    go(async {
        let notes = Notes::new();
        let record = notes.configured("1", &[("connected", "set a 1")]);
        let mut live = Live::scribe(Limits::default(), record).await;
        live.instance.connected(ConnectReason::Created).await.unwrap();
        assert_eq!(live.ask("set b 2").await, "ok");
        assert_eq!(notes.keys(), ["b"]);
    });
}

#[test]
fn the_connected_hook_counts_towards_the_first_turn() {
    let limits = Limits { turn_deadline_ms: 4_000, ..Limits::default() };
    go(async {
        let notes = Notes::new();
        let record = || notes.configured("1", &[("connected", "nap 2.4")]);
        let mut live = Live::scribe(limits, record()).await;
        live.instance.connected(ConnectReason::Created).await.unwrap();
        assert_eq!(live.say("nap 2.4").await.0, Ended::Deadline);

        let mut live = Live::scribe(limits, record()).await;
        live.instance.connected(ConnectReason::Created).await.unwrap();
        live.begin(notes.turn("2"));
        assert_eq!(live.ask("nap 2.4").await, "ok");
    });
}

#[test]
fn a_failed_hook_ends_the_instance() {
    go(async {
        let notes = Notes::new();
        let record = notes.configured("1", &[("connected", "panic")]);
        let mut live = Live::scribe(Limits::default(), record).await;
        let ended = live.instance.connected(ConnectReason::Created).await.unwrap_err();
        assert!(matches!(ended.ended, Ended::Trapped(_)), "{ended:?}");
        assert!(!live.instance.is_usable());
        assert!(matches!(live.say("echo text").await.0, Ended::HostFault(_)));

        let limits = Limits { turn_deadline_ms: 50, ..Limits::default() };
        let record = notes.configured("1", &[("connected", "spin")]);
        let mut live = Live::scribe(limits, record).await;
        let ended = live.instance.connected(ConnectReason::Created).await.unwrap_err();
        assert_eq!(ended.ended, Ended::Deadline);
        assert!(ended.cost.wall >= std::time::Duration::from_millis(50), "{ended:?}");
    });
}

/// Returns the output of a scribe's shutdown hook after its turn, and the time that the hook took.
async fn shutdown_hook(command: &str, within: Duration, taken: bool) -> (String, Duration) {
    let notes = Notes::new();
    let kill = Arc::default();
    let record = notes.configured("1", &[("disconnecting", command)]);
    let loaded = load("scribe", Profile::Default);
    let mut live = Live::connect(&loaded, Limits::default(), record, Arc::clone(&kill)).await;
    live.instance.connected(ConnectReason::Created).await.unwrap();
    if taken {
        drop(live.instance.take_turn());
    }
    // A cancel after the turn does not prevent the shutdown hook.
    kill.throw(KillReason::Cancelled);
    let began = Instant::now();
    live.instance.disconnecting(within).await;
    let took = began.elapsed();
    assert!(
        matches!(live.say("echo text").await.0, Ended::HostFault(_)),
        "no call follows the shutdown hook"
    );
    assert_eq!(notes.keys(), [""; 0]);
    (live.stderr(), took)
}

#[test]
fn the_shutdown_hook_is_called() {
    go(async {
        assert!(shutdown_hook("echo bye", LONG, true).await.0.ends_with("disconnecting: bye\n"));
        for (command, words) in [
            ("set a 1", "state cannot be written in a lifecycle hook"),
            ("get a", "there is no turn"),
            ("emit note text", "there is no turn"),
        ] {
            let (said, _) = shutdown_hook(command, LONG, true).await;
            assert!(said.contains(words), "{command}: {said}");
        }
        assert!(
            shutdown_hook("emit note text", LONG, false).await.0.ends_with("disconnecting: ok\n")
        );
    });
}

#[test]
fn the_shutdown_hook_is_bounded_in_time() {
    go(async {
        for command in ["spin", "nap 3600", "panic"] {
            let (_, took) = shutdown_hook(command, Duration::from_millis(50), true).await;
            assert!(took < LONG / 6, "{command}: {took:?}");
        }
    });
}

#[test]
fn a_failed_instance_gets_no_shutdown_hook() {
    go(async {
        let mut live = Live::scribe(Limits::default(), Notes::new().turn("1")).await;
        assert!(matches!(live.say("panic").await.0, Ended::Trapped(_)));
        live.instance.disconnecting(LONG).await;
        assert!(!live.stderr().contains("disconnecting"), "{}", live.stderr());
    });
}
