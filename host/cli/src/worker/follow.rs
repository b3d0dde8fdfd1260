//! `skep worker logs` and `skep worker events`: a transcript, as it is and as it grows.

use clap::Args;
use futures_util::StreamExt;
use skep_protocol::{Cursor, Denial, Entry, EntryKind, Turns};

use super::{grants, said};
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::terminal::Lost;
use crate::{OutputFormat, json, terminal};

/// Entries of a page.
const PAGE: usize = 500;

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker logs -f tally
  skep worker events tally --after 120 --output json | jq 'select(.kind == \"event\")'")]
pub(crate) struct FollowArgs {
    /// Which
    worker: String,

    /// Go on with what comes, until Ctrl-C or until the worker is removed
    #[arg(short, long)]
    follow: bool,

    /// Begin after this place in the transcript
    #[arg(long, value_name = "SEQ", default_value = "0")]
    after: u64,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl FollowArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

/// Which entries are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// What it wrote to its streams, and what it was denied.
    Lines,
    /// Everything.
    All,
}

pub(super) async fn follow(arguments: &FollowArgs, what: What) -> Result<u8, Failed> {
    let (runtime, worker) = arguments.connect.connect()?.worker(&arguments.worker).await?;
    let mut after = Cursor(arguments.after);
    loop {
        let page = runtime.transcript(worker, after, PAGE).await?;
        page.entries.iter().try_for_each(|entry| show(entry, what, arguments))?;
        after = page.next;
        if !page.more {
            break;
        }
    }
    if arguments.follow {
        let mut entries = runtime.subscribe(worker, Some(after)).await?;
        while let Some(entry) = entries.next().await {
            show(&*entry?, what, arguments)?;
        }
    }
    Ok(0)
}

fn show(entry: &Entry, what: What, arguments: &FollowArgs) -> Result<(), Lost> {
    let is_line = matches!(entry.kind, EntryKind::Log);
    let beside = matches!(entry.kind, EntryKind::Gap | EntryKind::Denied);
    if what == What::Lines && !is_line && !beside {
        return Ok(());
    }
    if arguments.output() == OutputFormat::Json {
        return terminal::print(&json::line(entry));
    }
    if what == What::Lines && is_line {
        let mut line = entry.payload.body.to_vec();
        line.push(b'\n');
        return match entry.label.as_deref() {
            Some("stderr") => terminal::print_guest_error(&line),
            _ => terminal::print_guest(&line),
        };
    }
    if what == What::Lines && entry.kind == EntryKind::Denied {
        // Not among what it wrote.
        let command = |it: &Denial| grants::command(&arguments.worker, &arguments.connect, it);
        return terminal::try_say("denied", &said::denied(entry, command));
    }
    let line = said::line(entry) + "\n";
    terminal::print(line.as_bytes())
}
