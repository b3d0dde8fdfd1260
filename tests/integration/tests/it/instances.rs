//! One instance over many turns: the state of a turn ends with it.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use skep_protocol::{LimitName, Limits};
use skep_sandbox::stdio::{GuestOutput, LineSink};
use skep_sandbox::{Ended, GuestSpec, KillReason, Profile};

use crate::live::{Live, Notes, go, load, sandbox};

#[test]
fn each_turn_has_a_record_of_its_own() {
    go(async {
        let (first, second) = (Notes::new(), Notes::new());
        let mut live = Live::scribe(Limits::default(), first.turn("input-1")).await;
        assert_eq!(live.ask("set a 1").await, "ok");
        let record = live.instance.take_turn();
        assert_eq!(record.identity().input_id.as_deref(), Some("input-1"));

        live.begin(second.turn("input-2"));
        let who = live.ask("whoami").await;
        assert!(who.contains("\ninput input-2\n") && who.ends_with("\nturns 2"), "{who}");
        assert_eq!(live.ask("set b 2").await, "ok");
        assert_eq!(first.keys(), ["a"]);
        assert_eq!(second.keys(), ["b"]);
    });
}

#[test]
fn between_turns_a_worker_has_no_input() {
    go(async {
        let notes = Notes::new();
        let record = notes.configured("input-1", &[("colour", "blue")]);
        let mut live = Live::scribe(Limits::default(), record).await;
        drop(live.instance.take_turn());
        for command in ["set a 1", "get a", "del a", "list a"] {
            assert_eq!(live.ask(command).await, "state-unavailable", "{command}");
        }
        for command in ["emit note text", "read 0 1"] {
            assert_eq!(live.ask(command).await, "transcript-unavailable", "{command}");
        }
        assert_eq!(live.ask("config").await, "");
        let who = live.ask("whoami").await;
        assert!(who.contains("worker some-worker\ninput -\n"), "{who}");
        assert_eq!(notes.keys(), [""; 0]);
    });
}

#[test]
fn a_kill_switch_ends_only_its_own_turn() {
    go(async {
        let notes = Notes::new();
        let first = Arc::default();
        let loaded = load("scribe", Profile::Default);
        let mut live =
            Live::connect(&loaded, Limits::default(), notes.turn("1"), Arc::clone(&first)).await;
        assert_eq!(live.ask("echo one").await, "one");
        first.throw(KillReason::Cancelled);
        let second = live.begin(notes.turn("2"));
        assert_eq!(live.ask("echo two").await, "two");

        for command in ["spin", "nap 3600"] {
            let mut live = Live::scribe(Limits::default(), notes.turn("3")).await;
            let kill = live.begin(notes.turn("4"));
            // The kill switch of the first turn has no effect any more.
            let stopped = std::thread::spawn(move || kill.throw(KillReason::Cancelled));
            assert_eq!(live.say(command).await.0, Ended::Cancelled);
            stopped.join().unwrap();
            assert!(!live.instance.is_usable());
        }
        assert_eq!(second.reason(), None);
    });
}

#[test]
fn a_killed_instance_stays_unusable() {
    go(async {
        let notes = Notes::new();
        let mut live = Live::scribe(Limits::default(), notes.turn("1")).await;
        assert!(matches!(live.say("panic").await.0, Ended::Trapped(_)));
        live.begin(notes.turn("2"));
        assert!(matches!(live.say("echo again").await.0, Ended::HostFault(_)));
    });
}

#[test]
fn a_dropped_call_makes_the_instance_unusable() {
    go(async {
        let notes = Notes::with_room(0);
        let mut live = Live::scribe(Limits::default(), notes.turn("1")).await;
        {
            let mut call = pin!(live.say("emit note text"));
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert!(!live.instance.is_usable());
    });
}

#[test]
fn each_turn_has_a_deadline_of_its_own() {
    let limits = Limits { turn_deadline_ms: 4_000, ..Limits::default() };
    go(async {
        let notes = Notes::new();
        let mut live = Live::scribe(limits, notes.turn("1")).await;
        assert_eq!(live.ask("nap 2.4").await, "ok");
        for input in ["2", "3"] {
            live.begin(notes.turn(input));
            assert_eq!(live.ask("nap 2.4").await, "ok");
        }
        live.begin(notes.turn("4"));
        assert_eq!(live.say("nap 3600").await.0, Ended::Deadline);
    });
}

#[test]
fn refused_memory_explains_only_failures_of_the_same_turn() {
    let limits = Limits { memory_bytes: 64 << 20, ..Limits::default() };
    go(async {
        let notes = Notes::new();
        let mut live = Live::scribe(limits, notes.turn("1")).await;
        assert_eq!(live.ask("ask 100000000").await, "no-memory");
        live.begin(notes.turn("2"));
        assert!(matches!(live.say("panic").await.0, Ended::Trapped(_)));

        let mut live = Live::scribe(limits, notes.turn("1")).await;
        assert_eq!(live.ask("ask 100000000").await, "no-memory");
        let ended = live.say("panic").await.0;
        assert!(
            matches!(ended, Ended::Limit { name: LimitName::memory_bytes, .. }),
            "the same without another turn: {ended:?}"
        );
    });
}

#[test]
fn reported_memory_is_the_current_size() {
    go(async {
        let notes = Notes::new();
        let mut live = Live::scribe(Limits::default(), notes.turn("1")).await;
        let before = live.instance.memory_bytes();
        assert!(before > 0);
        let (_, cost) = live.say("ask 10000000").await;
        let after = live.instance.memory_bytes();
        assert!(after >= before + 10_000_000, "{before} {after}: a memory never shrinks");
        assert_eq!(cost.memory_peak_bytes, after);
    });
}

#[test]
fn fuel_is_refilled_for_each_turn() {
    let loaded = load("scribe", Profile::Deterministic);
    go(async {
        let notes = Notes::new();
        let limits = Limits { fuel: 1_000_000, ..Limits::default() };
        let mut live = Live::connect(&loaded, limits, notes.turn("1"), Arc::default()).await;
        let mut used = 0;
        for _ in 0..1_000 {
            live.begin(notes.turn("2"));
            let (ended, cost) = live.say("echo text").await;
            assert!(matches!(ended, Ended::Answered(_)), "{ended:?} after {used}");
            used += cost.fuel.unwrap();
        }
        assert!(used > limits.fuel, "only {used}");
        let ended = loop {
            match live.say("echo text").await.0 {
                Ended::Answered(_) => {}
                ended => break ended,
            }
        };
        assert!(matches!(ended, Ended::Limit { name: LimitName::fuel, .. }), "{ended:?}");
    });
}

#[test]
fn denials_are_reported_once_with_their_turn() {
    go(async {
        let notes = Notes::new();
        let mut live = Live::scribe(Limits::default(), notes.turn("1")).await;
        assert_eq!(live.ask("dial 127.0.0.1:9").await, "io");
        let denials = live.instance.take_denials();
        let denied: Vec<_> = denials.iter().map(|denied| denied.interface).collect();
        assert_eq!(denied, ["wasi:sockets/tcp"]);
        assert!(live.instance.take_denials().is_empty());
        assert_eq!(live.ask("dial 127.0.0.1:9").await, "io");
        live.begin(notes.turn("2"));
        assert!(live.instance.take_denials().is_empty());
    });
}

#[test]
fn a_guest_waits_until_there_is_room_for_its_event() {
    go(async {
        let notes = Notes::with_room(1);
        let mut live = Live::scribe(Limits::default(), notes.turn("1")).await;
        let guest = live.ask("emit-many 3");
        let room = async {
            notes.emitting.acquire_many(2).await.unwrap().forget();
            assert_eq!(notes.events(), ["tick 0"]);
            notes.room.add_permits(2);
        };
        let (answer, ()) = tokio::join!(guest, room);
        assert_eq!(answer, "ok");
        assert_eq!(notes.events(), ["tick 0", "tick 1", "tick 2"]);
    });
}

#[test]
fn a_guest_that_waits_to_emit_can_be_ended() {
    go(async {
        let notes = Notes::with_room(0);
        let mut live = Live::scribe(Limits::default(), notes.turn("1")).await;
        let kill = live.begin(notes.turn("2"));
        let guest = live.say("emit note text");
        let cancel = async {
            notes.emitting.acquire().await.unwrap().forget();
            kill.throw(KillReason::Cancelled);
        };
        let ((ended, _), ()) = tokio::join!(guest, cancel);
        assert_eq!(ended, Ended::Cancelled);
        assert_eq!(notes.events(), [""; 0]);

        let limits = Limits { turn_deadline_ms: 50, ..Limits::default() };
        let mut live = Live::scribe(limits, notes.turn("1")).await;
        assert_eq!(live.say("emit note text").await.0, Ended::Deadline);
    });
}

#[derive(Default)]
struct Log(Mutex<Vec<Vec<u8>>>);

impl LineSink for Log {
    fn line(&self, line: &[u8]) {
        self.0.lock().unwrap().push(line.to_vec());
    }
}

#[test]
fn a_command_is_logged_line_by_line_and_captured() {
    for guest in ["probe", "preview1/probe"] {
        let loaded = load(guest, Profile::Default);
        let log = Arc::new(Log::default());
        let stdout = GuestOutput::lines_and_captured(log.clone(), 4);
        let args = ["probe", "args", "one", "two"].map(String::from).to_vec();
        let spec = GuestSpec { args, stdout: stdout.clone(), ..GuestSpec::default() };
        let (ended, _) = go(async {
            let turn = Notes::new().turn("1");
            let mut instance =
                sandbox().connect(&loaded, spec, turn, Arc::default()).await.unwrap();
            instance.run().await
        });
        assert_eq!(ended, Ended::Exited(0));
        stdout.finish_lines();
        let lines = log.0.lock().unwrap();
        let text = lines.join(&b'\n');
        assert!(lines.len() > 1, "{}", String::from_utf8_lossy(&text));
        assert_eq!(text.len() as u64 + 1, stdout.total(), "all output except the last newline");
        assert_eq!(stdout.contents(), text[..4]);
    }
}
