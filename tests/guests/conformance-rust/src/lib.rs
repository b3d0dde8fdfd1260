//! The conformance guest in Rust: does what its input says. The guests of the other languages do
//! the same, and one suite of tests runs them all.

use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;
use std::{fs, thread};

use skep_guest::fetch::{self, Request};
use skep_guest::{
    ConnectReason, Failure, Input, Lifecycle, Output, Worker, config, context, data_dir, state,
    transcript,
};

mod random;

struct Conformance;

/// The reason of the last call of the hook.
static CONNECTED: Mutex<&str> = Mutex::new("none");

impl Worker for Conformance {
    fn handle(input: Input) -> Result<Output, Failure> {
        if !input.content_type.starts_with("text/plain") {
            return Ok(Output::new(input.content_type, input.body));
        }
        let mut words = Words(input.text()?);
        obey(words.next(), &mut words).map(Output::text)
    }
}

impl Lifecycle for Conformance {
    fn connected(reason: ConnectReason) {
        *CONNECTED.lock().expect("no one panicked") = match reason {
            ConnectReason::Created => "created",
            ConnectReason::Input => "input",
            ConnectReason::Restart => "restart",
            ConnectReason::Update => "update",
        };
    }
}

skep_guest::worker!(Conformance, lifecycle);

/// What is left of a command: its arguments are split at single spaces.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    /// Takes the next argument, "" if there is none.
    fn next(&mut self) -> &'a str {
        let (word, rest) = self.0.split_once(' ').unwrap_or((self.0, ""));
        self.0 = rest;
        word
    }

    fn rest(&mut self) -> &'a str {
        std::mem::take(&mut self.0)
    }

    fn number(&mut self) -> Result<usize, Failure> {
        let word = self.next();
        word.parse().map_err(|_| Failure::new("bad-request", format!("{word:?} is not a number")))
    }
}

fn obey(verb: &str, words: &mut Words<'_>) -> Result<String, Failure> {
    match verb {
        "count" => count(),
        "set" | "set-then-fail" => {
            state::set(words.next(), words.rest())?;
            if verb == "set" { ok() } else { Err(Failure::new("asked", "as asked")) }
        }
        "delete" => Ok(state::delete(words.rest())?.to_string()),
        "get" => get(words.rest()),
        "keys" => Ok(state::list(words.rest()).collect::<Result<Vec<_>, _>>()?.join("\n")),
        "set-long-key" => set(&"k".repeat(513), b"x"),
        "set-large" => set("large", &vec![0; words.number()?]),
        "fill" => fill(words.number()?),
        "emit" => emit(words.next(), "text/plain; charset=utf-8", words.rest().as_bytes()),
        "emit-large" => emit("large", "application/octet-stream", &vec![0; words.number()?]),
        "emit-many" => emit_many(words.number()?),
        "read" => read(words.number()? as u64, words.number()? as u32),
        "config" => {
            let key = words.rest();
            config::get(key).ok_or_else(|| missing(key, "config"))
        }
        "config-all" => Ok(lines(config::get_all().iter().map(|(k, v)| format!("{k}={v}")))),
        "context" => Ok(describe_context()),
        "write" => {
            fs::write(data_dir().join(words.next()), words.rest())?;
            ok()
        }
        "read-file" => Ok(fs::read_to_string(data_dir().join(words.rest()))?),
        "lifecycle" => Ok((*CONNECTED.lock().expect("no one panicked")).to_owned()),
        "random" => random::hex(),
        "sleep" => {
            thread::sleep(Duration::from_millis(words.number()? as u64));
            Ok("slept".to_owned())
        }
        "log" => {
            println!("{}", words.rest());
            ok()
        }
        "log-error" => {
            eprintln!("{}", words.rest());
            ok()
        }
        "random-float" | "gather" | "never" | "throw" => {
            Err(Failure::new("unsupported", "this language has no such thing"))
        }
        "trap" => panic!("as asked"),
        "spin" => loop {
            std::hint::spin_loop();
        },
        "fetch" => answer(&Request::new(words.next(), words.next()).body(words.rest())),
        _ => Err(Failure::new("bad-request", format!("unknown verb {verb}"))),
    }
}

fn ok() -> Result<String, Failure> {
    Ok("ok".to_owned())
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}

fn missing(key: &str, place: &str) -> Failure {
    Failure::new("missing", format!("{key} is not in the {place}"))
}

fn count() -> Result<String, Failure> {
    let old = state::get_string("count")?.and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let new = (old + 1).to_string();
    state::set("count", &new)?;
    transcript::emit_text("counted", &new)?;
    Ok(new)
}

fn get(key: &str) -> Result<String, Failure> {
    state::get_string(key)?.ok_or_else(|| missing(key, "state"))
}

fn set(key: &str, value: &[u8]) -> Result<String, Failure> {
    state::set(key, value)?;
    ok()
}

fn fill(count: usize) -> Result<String, Failure> {
    for n in 0..count {
        state::set(&format!("key-{n:05}"), "x")?;
    }
    ok()
}

fn emit(kind: &str, content_type: &str, body: &[u8]) -> Result<String, Failure> {
    transcript::emit(kind, content_type, body)?;
    ok()
}

fn emit_many(count: usize) -> Result<String, Failure> {
    for _ in 0..count {
        transcript::emit_text("many", "x")?;
    }
    ok()
}

fn read(after: u64, limit: u32) -> Result<String, Failure> {
    fn or_dash(text: &str) -> &str {
        if text.is_empty() { "-" } else { text }
    }

    let page = transcript::read(after, limit)?;
    let mut answer = String::new();
    for entry in &page.entries {
        let event = entry.event.as_deref().unwrap_or_default();
        let content_type = or_dash(&entry.content_type);
        let _ = writeln!(answer, "{} {} {} {content_type}", entry.seq, entry.kind, or_dash(event));
    }
    Ok(answer + &page.next.map_or("end".to_owned(), |next| format!("next {next}")))
}

fn describe_context() -> String {
    format!(
        "runtime={} worker={} input={} attempt={} remaining={}",
        context::runtime_id(),
        context::worker_id(),
        context::input_id().as_deref().unwrap_or("-"),
        context::attempt(),
        if context::remaining().is_some() { "yes" } else { "no" },
    )
}

fn answer(request: &Request) -> Result<String, Failure> {
    let response = fetch::send(request)?;
    Ok(format!("{}\n{}", response.status, response.text()?))
}

#[cfg(test)]
mod tests {
    use skep_guest::testing;

    use super::*;

    fn send(text: &str) -> Result<String, Failure> {
        testing::handle::<Conformance>(Input::text_plain(text))
            .map(|output| String::from_utf8(output.body).expect("an answer is text"))
    }

    fn answers(text: &str) -> String {
        send(text).unwrap_or_else(|failure| panic!("{text}: {failure}"))
    }

    #[test]
    fn verbs_do_what_they_say() {
        assert_eq!(answers("count"), "1");
        assert_eq!(answers("set key some value"), "ok");
        assert_eq!(answers("get key"), "some value");
        assert_eq!(answers("delete key"), "true");
        assert_eq!(answers("fill 3"), "ok");
        assert_eq!(answers("keys key-"), "key-00000\nkey-00001\nkey-00002");
        assert_eq!(answers("keys "), answers("keys"));
        assert_eq!(answers("read 1 1"), "2 event counted text/plain; charset=utf-8\nnext 2");
        assert_eq!(answers("write name a file"), "ok");
        assert_eq!(answers("read-file name"), "a file");
        assert_eq!(answers("random").len(), 32);
        assert_eq!(answers("lifecycle"), "none");
        testing::connected::<Conformance>(ConnectReason::Restart);
        assert_eq!(answers("lifecycle"), "restart");
    }

    #[test]
    fn failures_have_their_codes() {
        for (text, code) in [
            ("get key", "missing"),
            ("config key", "missing"),
            ("set-long-key", "state-invalid-key"),
            ("set-large 67108865", "state-too-large"),
            ("set-then-fail key value", "asked"),
            ("emit Bad text", "transcript-invalid-kind"),
            ("emit-large 262145", "transcript-too-large"),
            ("emit-many 10001", "transcript-too-many"),
            ("read-file none", "io"),
            ("fetch GET http://a.test/ ", "fetch-denied"),
            ("gather", "unsupported"),
            ("nonsense", "bad-request"),
        ] {
            assert_eq!(send(text).unwrap_err().code, code, "{text}");
        }
        assert_eq!(testing::state().len(), 0);
    }

    #[test]
    fn other_types_are_answered_as_they_are() {
        let output = testing::handle::<Conformance>(Input::new("a/b", *b"\xff")).unwrap();
        assert_eq!(output, Output::new("a/b", *b"\xff"));
    }
}
