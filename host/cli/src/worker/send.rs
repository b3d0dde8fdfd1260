//! `skep worker send`: sends one input and turns its outcome into output and an exit code.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use skep_protocol::input::RUN_REQUEST;
use skep_protocol::text::neutral;
use skep_protocol::{
    ComponentKind, Ending, IdempotencyKey, LimitName, NewInput, Outcome, Output, Payload,
    RunRequest, Sent, Turns, Workers, quantity,
};

use super::compiling;
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::source::{NamedSource, NoWriter};
use crate::terminal::LostOutput;
use crate::{exit, json, key_value, terminal};

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker send tally add 1                   a service gets the words as one text
  skep worker send --input order.json --content-type application/json tally
  skep worker send build --release /src          a command gets them as arguments
  skep worker send --key order-17 --no-wait tally add 1

All words after WORKER are the message, even those that look like flags; one leading `--` is
dropped.

Exit codes are those of `skep run`: a command's own, 1 a service failed, 124 deadline, 134 trap or
limit, 137 out of memory, 130 cancelled, 125 any other failure.")]
pub(crate) struct SendArgs {
    /// Worker: its id, RUNTIME/ID, or name
    worker: String,

    /// Message for a service, or arguments of a command: all words after WORKER
    #[arg(value_name = "WORDS")]
    pub(super) words: Vec<OsString>,

    /// Message for a service, or standard input of a command: a file, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    input: Option<PathBuf>,

    /// Media type of the message [default: text/plain for words, application/octet-stream for a
    /// file]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,

    /// Environment variable of a command. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = key_value::parse)]
    env: Vec<(String, String)>,

    /// Idempotency key: an input that is sent again with the same key counts once
    #[arg(long, value_name = "KEY")]
    key: Option<IdempotencyKey>,

    /// Time to wait for the outcome
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = quantity::duration)]
    wait: Duration,

    /// Return when the input is on disk, without waiting for the outcome
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl SendArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

pub(super) async fn send(arguments: &SendArgs) -> Result<u8, Failed> {
    let words = arguments.words.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let (runtime, worker) = arguments.connect.connect()?.worker(&arguments.worker).await?;
    let view = runtime.get(worker).await?;
    let wait = (!arguments.no_wait).then_some(arguments.wait);
    let (payload, key) = (payload(arguments, words, view.kind)?, arguments.key.clone());
    let input = NewInput { payload, key, wait, sender: None };
    let sent = runtime.send(worker, input);
    let sent = compiling::shown(&runtime, view.spec.component, sent).await?;
    let (shown, code) = match (&sent, arguments.output()) {
        (Sent::Accepted { .. }, OutputFormat::Json) => (terminal::print(&json::line(&sent)), 0),
        (Sent::Accepted { input_id, .. }, OutputFormat::Text) => {
            (terminal::try_say("accepted", &input_id.to_string()), 0)
        }
        (Sent::Done { outcome, .. }, OutputFormat::Json) => {
            (terminal::print(&json::line(&sent)), code(outcome))
        }
        (Sent::Done { outcome, .. }, OutputFormat::Text) => (show(outcome), code(outcome)),
    };
    Ok(terminal::conclude(shown, code))
}

/// Returns a word as text. The host gets JSON or text, and both are UTF-8.
fn text(word: &OsString) -> Result<String, Failed> {
    word.to_str().map(str::to_owned).ok_or_else(|| {
        Failed::here(format!("the word {word:?} is not UTF-8"))
            .hint("send bytes with --input FILE before WORKER")
    })
}

fn payload(
    arguments: &SendArgs,
    words: Vec<String>,
    kind: ComponentKind,
) -> Result<Payload, Failed> {
    let input = arguments.input.clone().map(NamedSource::from);
    let input = input.map(|input| input.read(NoWriter::Wait, u64::MAX)).transpose()?;
    if kind == ComponentKind::Command {
        if arguments.content_type.is_some() {
            return Err(Failed::here(
                "--content-type is for services; a command takes arguments and standard input",
            ));
        }
        let (mut stdin, mut stdin_base64) = (None, None);
        match input.map(String::from_utf8) {
            Some(Ok(text)) => stdin = Some(text),
            Some(Err(error)) => {
                use base64::Engine as _;
                let engine = base64::engine::general_purpose::STANDARD;
                stdin_base64 = Some(engine.encode(error.as_bytes()));
            }
            None => {}
        }
        let env: BTreeMap<_, _> = arguments.env.iter().cloned().collect();
        let run = RunRequest { args: words, env, stdin, stdin_base64 };
        let body = json::line(&run);
        return Ok(Payload { content_type: RUN_REQUEST.into(), body: body.into() });
    }
    if !arguments.env.is_empty() {
        return Err(Failed::here("--env is for commands; a service reads its config bundle"));
    }
    let (body, default) = match (input, words.is_empty()) {
        (Some(_), false) => {
            return Err(Failed::here("give the message as words or with --input, not both"));
        }
        (Some(body), true) => (body, "application/octet-stream"),
        (None, _) => (words.join(" ").into_bytes(), "text/plain; charset=utf-8"),
    };
    let content_type = arguments.content_type.clone().unwrap_or_else(|| default.into());
    Ok(Payload { content_type, body: body.into() })
}

fn show(outcome: &Outcome) -> Result<(), LostOutput> {
    match &outcome.output {
        Some(Output::Message(payload)) => terminal::print_guest(&payload.body)?,
        Some(Output::Run(run)) => {
            terminal::print_guest(&run.stdout)?;
            terminal::print_guest_error(&run.stderr)?;
            if run.truncated {
                terminal::say("note", "output truncated");
            }
        }
        None => {}
    }
    if let Some(error) = &outcome.error {
        let (code, message) = (neutral(&error.code), neutral(&error.message));
        terminal::say("error", &format!("{}: {message} ({code})", outcome.ending.as_str()));
        for frame in &error.frames {
            terminal::say("  at", &neutral(frame).to_string());
        }
        for line in &error.stderr {
            terminal::say("  stderr", &neutral(line).to_string());
        }
        if let (Ending::Failed, Some(name)) = (outcome.ending, error.limit) {
            let refused = format!("before that, the worker was refused more than {name} allows");
            terminal::say("note", &refused);
        }
    }
    Ok(())
}

fn code(outcome: &Outcome) -> u8 {
    match outcome.ending {
        Ending::Completed => match &outcome.output {
            Some(Output::Run(run)) => run.exit_code.unwrap_or(0),
            _ => 0,
        },
        Ending::Failed => exit::SERVICE_FAILED,
        Ending::Deadline => exit::DEADLINE,
        Ending::Cancelled => exit::INTERRUPTED,
        Ending::HostFault => exit::SKEP_FAILED,
        Ending::Trapped => exit::TRAPPED,
        Ending::Limit => match outcome.error.as_ref().and_then(|error| error.limit) {
            Some(LimitName::memory_bytes) => exit::OUT_OF_MEMORY,
            _ => exit::TRAPPED,
        },
    }
}
