//! `skep worker logs` and `skep worker events`: the past entries of a transcript, then new ones.

use clap::Args;
use futures_util::StreamExt;
use skep_protocol::{Cursor, Denial, Entry, EntryKind, ListEntries, Turns};

use super::{entry_line, grants};
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::terminal::LostOutput;
use crate::{json, terminal};

/// Entries of a page.
const PAGE: usize = 500;

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker logs -f tally
  skep worker events tally --after 120 --output json | jq 'select(.kind == \"event\")'")]
pub(crate) struct FollowArgs {
    /// Worker: its id, RUNTIME/ID, or name
    worker: String,

    /// Keep printing new entries, until Ctrl-C or until the worker is removed
    #[arg(short, long)]
    follow: bool,

    /// Start after this sequence number of the transcript
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

/// The entries to print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EntrySelection {
    /// Lines of stdout and stderr, denials, and gaps in the transcript.
    Output,
    /// All entries.
    All,
}

pub(super) async fn follow(
    arguments: &FollowArgs,
    selection: EntrySelection,
) -> Result<u8, Failed> {
    let (runtime, worker) = arguments.connect.connect()?.worker(&arguments.worker).await?;
    let mut after = Cursor(arguments.after);
    loop {
        let page = runtime.transcript(worker, ListEntries::after(after, PAGE)).await?;
        page.entries.iter().try_for_each(|entry| show(entry, selection, arguments))?;
        after = page.next;
        if !page.more {
            break;
        }
    }
    if arguments.follow {
        let mut entries = runtime.subscribe(worker, Some(after), None).await?;
        while let Some(entry) = entries.next().await {
            show(&*entry?, selection, arguments)?;
        }
    }
    Ok(0)
}

fn show(
    entry: &Entry,
    selection: EntrySelection,
    arguments: &FollowArgs,
) -> Result<(), LostOutput> {
    let output_only = selection == EntrySelection::Output;
    let is_line = matches!(entry.kind, EntryKind::Log);
    let beside = matches!(entry.kind, EntryKind::Gap | EntryKind::Denied);
    if output_only && !is_line && !beside {
        return Ok(());
    }
    if arguments.output() == OutputFormat::Json {
        return terminal::print(&json::line(entry));
    }
    if output_only && is_line {
        let mut line = entry.payload.body.to_vec();
        line.push(b'\n');
        return match entry.label.as_deref() {
            Some("stderr") => terminal::print_guest_error(&line),
            _ => terminal::print_guest(&line),
        };
    }
    if output_only && entry.kind == EntryKind::Denied {
        // Standard output is for the worker's own lines.
        let command = |it: &Denial| grants::command(&arguments.worker, &arguments.connect, it);
        return terminal::try_say("denied", &entry_line::denied(entry, command));
    }
    let line = entry_line::line(entry) + "\n";
    terminal::print(line.as_bytes())
}
