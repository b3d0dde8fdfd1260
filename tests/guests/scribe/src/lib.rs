//! A service whose input is a text command; used by the host's tests.
//!
//! `set K V`, `get K`, `del K`, `list PREFIX` on the state; `emit KIND TEXT`, `emit-many N`, `read
//! AFTER LIMIT` on the transcript; `save NAME TEXT`, `load NAME` in `/data`; `whoami`, `config`;
//! `echo TEXT`, `blob N`; `ask BYTES` of memory, `dial HOST:PORT`; `fail CODE MESSAGE`, `panic`,
//! `exit CODE`, `spin`, `nap SECONDS`, `grow`. The last argument is the rest of the line. The
//! default answer is `ok`.
//!
//! Its lifecycle hooks execute the commands that the config bundle has under `connected` and
//! `disconnecting`, and print the result on standard error.

mod instance;
mod misdeed;
mod outside;
mod record;
mod storage;

use skep_guest::{ConnectReason, Failure, Input, Lifecycle, Output, Worker};

struct Scribe;

impl Worker for Scribe {
    fn handle(input: Input) -> Result<Output, Failure> {
        instance::count_turn();
        obey(input.text()?)
    }
}

impl Lifecycle for Scribe {
    fn connected(reason: ConnectReason) {
        instance::connected(reason);
    }

    fn disconnecting() {
        instance::disconnecting();
    }
}

skep_guest::worker!(Scribe, lifecycle);

fn obey(text: &str) -> Result<Output, Failure> {
    let (verb, rest) = split(text.trim_end_matches('\n'));
    match verb {
        "set" => storage::set(rest),
        "get" => storage::get(rest),
        "del" => storage::delete(rest),
        "list" => storage::list(rest),
        "save" => storage::save(rest),
        "load" => storage::load(rest),

        "emit" => record::emit(rest),
        "emit-many" => record::emit_many(number(rest)?),
        "read" => record::read(rest),

        "whoami" => Ok(instance::who_am_i()),
        "config" => Ok(instance::config()),

        "echo" => Ok(Output::text(rest)),
        "blob" => Ok(Output::new("application/octet-stream", vec![b'.'; number(rest)?])),

        "ask" => outside::ask(number(rest)?),
        "dial" => outside::dial(rest),

        "fail" => misdeed::fail(rest),
        "panic" => misdeed::panic(),
        "exit" => misdeed::exit(number(rest)?),
        "spin" => misdeed::spin(),
        "nap" => misdeed::nap(rest),
        "grow" => misdeed::grow(),
        _ => Err(bad_request(format!("there is no verb {verb:?}"))),
    }
}

/// Splits off the first word and the blank after it.
fn split(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| bad_request(format!("{text:?} is not a number")))
}

fn bad_request(message: impl Into<String>) -> Failure {
    Failure::new("bad-request", message)
}

fn ok() -> Result<Output, Failure> {
    Ok(Output::text("ok"))
}

#[cfg(test)]
mod tests;
