//! Counts its inputs. Every input, whatever its type and content, adds 1 and is answered with the
//! number so far. The body `save` also writes the number to `/data/count.txt`.

use std::fs;

use skep_guest::{Failure, Input, Output, Worker, data_dir, state, transcript};

/// The key of the number, which is stored as decimal text.
const KEY: &str = "count";

struct Counter;

impl Worker for Counter {
    fn handle(input: Input) -> Result<Output, Failure> {
        let count = match state::get_string(KEY)? {
            Some(text) => text.parse::<u64>().map_err(|_| Failure::new("bad-state", text))?,
            None => 0,
        };
        let count = (count + 1).to_string();

        state::set(KEY, &count)?;
        transcript::emit_text("counted", &count)?;
        if input.body == b"save" {
            fs::write(data_dir().join("count.txt"), format!("{count}\n"))?;
        }
        Ok(Output::text(count))
    }
}

skep_guest::worker!(Counter);

#[cfg(test)]
mod tests {
    use skep_guest::testing;

    use super::*;

    fn send(content_type: &str, body: &[u8]) -> Output {
        testing::handle::<Counter>(Input::new(content_type, body)).expect("the counter counts")
    }

    #[test]
    fn every_input_adds_one_whatever_it_is() {
        assert_eq!(send("text/plain", b"hello"), Output::text("1"));
        assert_eq!(send("application/octet-stream", &[0xff, 0x00]), Output::text("2"));
        assert_eq!(send("", b""), Output::text("3"));
        assert_eq!(testing::state()["count"], b"3");
    }

    #[test]
    fn each_turn_emits_one_event() {
        send("text/plain", b"a");
        send("text/plain", b"b");
        let events = testing::events();
        assert_eq!(events.len(), 2);
        assert_eq!((events[1].kind.as_str(), events[1].body.as_slice()), ("counted", &b"2"[..]));
    }

    #[test]
    fn only_save_writes_a_file() {
        let file = testing::data_dir().join("count.txt");
        send("text/plain", b"saved");
        assert!(!file.exists());
        send("text/plain", b"save");
        assert_eq!(fs::read_to_string(file).expect("the file is there"), "2\n");
    }

    #[test]
    fn a_state_that_is_not_a_number_is_a_failure() {
        state::set(KEY, "many").expect("the key is valid");
        let refused = testing::handle::<Counter>(Input::text_plain("")).unwrap_err();
        assert_eq!(refused.code, "bad-state");
    }
}
