//! A service that counts its turns and leaves the data to check the count. The crash test sends it
//! inputs and kills its host.
//!
//! An input is `NAME EVENTS PAUSE END`. The turn reads its counter, emits `EVENTS` events whose
//! body is `NAME` and a number from 0, pauses halfway (`-`, `nap:MS`, `spin:MS`), increments the
//! counter, and ends: `ok`, `keep` (like `ok`, with a file left in `/data`), `fail`, `panic`. The
//! answer is the counter and the config bundle's `version`.
//!
//! In `state`, `count` is the number of committed turns, and `chain` a hash over their names in
//! order. It reveals a turn that was lost, repeated or reordered.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use skep_guest::{Failure, Input, Output, Worker, config, data_dir, state, transcript};

struct Tally;

impl Worker for Tally {
    fn handle(input: Input) -> Result<Output, Failure> {
        let text = input.text()?;
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or_else(|| bad_request(text));
        let (name, events, pause, end) = (word()?, word()?, word()?, word()?);
        let events: u32 = events.parse().map_err(|_| bad_request(text))?;

        let count = number("count")? + 1;
        let chain = link(number("chain")?, name);
        for event in 0..events / 2 {
            transcript::emit_text("tick", &format!("{name} {event}"))?;
        }
        wait(pause)?;
        for event in events / 2..events {
            transcript::emit_text("tick", &format!("{name} {event}"))?;
        }
        state::set("count", count.to_string())?;
        state::set("chain", chain.to_string())?;
        if number("count")? != count {
            return Err(Failure::new("not-read-back", "state does not show the turn's own write"));
        }
        match end {
            "ok" => {}
            "keep" => std::fs::write(data_dir().join(format!("kept-{}", count % 8)), name)?,
            "fail" => return Err(Failure::new("as-told", name)),
            "panic" => panic!("as it was told"),
            _ => return Err(bad_request(text)),
        }
        let version = config::get("version").unwrap_or_else(|| "-".into());
        Ok(Output::text(format!("{count} {version}")))
    }
}

skep_guest::worker!(Tally);

fn number(key: &str) -> Result<u64, Failure> {
    let text = state::get_string(key)?;
    text.map_or(Ok(0), |text| text.parse().map_err(|_| Failure::new("no-number", text)))
}

/// Computes FNV-1a over the name and a line break, starting from the previous value.
fn link(chain: u64, name: &str) -> u64 {
    let bytes = name.bytes().chain([b'\n']);
    bytes.fold(chain, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn wait(pause: &str) -> Result<(), Failure> {
    let Some((how, ms)) = pause.split_once(':') else { return Ok(()) };
    let time = Duration::from_millis(ms.parse().map_err(|_| bad_request(pause))?);
    match how {
        "nap" => thread::sleep(time),
        "spin" => {
            let began = Instant::now();
            while began.elapsed() < time {
                black_box(());
            }
        }
        _ => return Err(bad_request(pause)),
    }
    Ok(())
}

fn bad_request(text: &str) -> Failure {
    Failure::new("bad-request", format!("{text:?} is not `NAME EVENTS PAUSE END`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_guest::testing;

    fn send(text: &str) -> Result<String, String> {
        testing::handle::<Tally>(Input::text_plain(text))
            .map(|output| String::from_utf8(output.body).unwrap())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn turns_that_do_not_complete_do_not_count() {
        testing::set_config([("version", "7")]);
        assert_eq!(send("a 0 - ok").unwrap(), "1 7");
        assert_eq!(send("b 3 nap:1 fail").unwrap_err(), "as-told: b");
        assert_eq!(send("c 3 spin:1 keep").unwrap(), "2 7");
        assert_eq!(testing::events().len(), 6);
        assert_eq!(testing::state()["chain"], link(link(0, "a"), "c").to_string().as_bytes());
    }

    #[test]
    fn an_invalid_order_is_refused() {
        for bad in ["", "a 1 -", "a x - ok", "a 0 hop:1 ok", "a 0 - well"] {
            assert!(send(bad).unwrap_err().starts_with("bad-request"), "{bad}");
        }
    }
}
