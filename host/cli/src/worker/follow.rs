//! `skep worker logs` and `skep worker events`: the past entries of a transcript, then new ones.

use clap::Args;
use futures_util::StreamExt;
use skep_client::Client;
use skep_protocol::{
    Cursor, Denial, Entry, EntryFilter, EntryKind, EntryPlace, EntryText, InputId, ListEntries,
    Timestamp, Turns, WorkerId,
};

use super::{entry_line, grants};
use crate::clock::past;
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
  skep worker logs --since 10m tally
  skep worker logs --last 20 --grep error tally
  skep worker events tally --kind failure,denied
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

    /// Start with the last N entries, of those that the other flags select
    #[arg(long, value_name = "N", conflicts_with = "after", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,

    /// Start at this time: 2026-11-21T08:02:00Z, or 10m for the last ten minutes
    #[arg(long, value_name = "TIME", conflicts_with_all = ["after", "last"], value_parser = past)]
    since: Option<Timestamp>,

    /// Only entries with this text in the label or body, in upper or lower case
    #[arg(long, value_name = "TEXT", value_parser = text)]
    grep: Option<EntryText>,

    /// Only entries of these kinds: `input`, `event`, `log`, `output`, `failure`, …
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    kind: Vec<EntryKind>,

    /// Only entries of this input's turn
    #[arg(long, value_name = "ID")]
    input: Option<InputId>,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl FollowArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }

    fn filter(&self, selection: EntrySelection) -> EntryFilter {
        let kinds = match selection {
            EntrySelection::Output if self.kind.is_empty() => OUTPUT.to_vec(),
            EntrySelection::Output | EntrySelection::All => self.kind.clone(),
        };
        EntryFilter { kinds, input_id: self.input, text: self.grep.clone() }
    }
}

/// Parses a text to search for.
fn text(typed: &str) -> Result<EntryText, String> {
    typed.parse().map_err(|_| format!("a text has from 1 to {} bytes", EntryText::LONGEST))
}

/// Parses the word of a kind.
fn kind(word: &str) -> Result<EntryKind, String> {
    EntryKind::from_word(word).ok_or_else(|| {
        let words: Vec<_> = EntryKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("no kind of entry; the kinds are {}", words.join(", "))
    })
}

/// Kinds of the entries that the logs have.
const OUTPUT: &[EntryKind] = &[EntryKind::Log, EntryKind::Denied, EntryKind::Gap];

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
    let filter = arguments.filter(selection);
    let after = match arguments.last {
        Some(count) => {
            let (entries, next) = last(&runtime, worker, &filter, count as usize).await?;
            entries.iter().try_for_each(|entry| show(entry, selection, arguments))?;
            next
        }
        None => {
            let mut place = match arguments.since {
                Some(since) => EntryPlace::At(since),
                None => EntryPlace::After(Cursor(arguments.after)),
            };
            loop {
                let filter = filter.clone();
                let query = ListEntries { place, limit: PAGE, filter, preview: None };
                let page = runtime.transcript(worker, query).await?;
                page.entries.iter().try_for_each(|entry| show(entry, selection, arguments))?;
                if !page.more {
                    break page.next;
                }
                place = EntryPlace::After(page.next);
            }
        }
    };
    if arguments.follow {
        let mut entries = runtime.subscribe(worker, Some(after), None).await?;
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            if filter.passes(&entry) {
                show(&entry, selection, arguments)?;
            }
        }
    }
    Ok(0)
}

/// Returns the last entries that pass a filter, and the end of the transcript.
async fn last(
    runtime: &Client,
    worker: WorkerId,
    filter: &EntryFilter,
    count: usize,
) -> Result<(Vec<Entry>, Cursor), Failed> {
    let (mut newest_first, mut place, mut end) = (Vec::new(), EntryPlace::End, None);
    loop {
        let limit = (count - newest_first.len()).min(PAGE);
        let query = ListEntries { place, limit, filter: filter.clone(), preview: None };
        let page = runtime.transcript(worker, query).await?;
        let end = *end.get_or_insert(page.next);
        newest_first.extend(page.entries.into_iter().rev());
        match page.prev {
            Some(before) if newest_first.len() < count => place = EntryPlace::Before(before),
            Some(_) | None => {
                newest_first.reverse();
                return Ok((newest_first, end));
            }
        }
    }
}

fn show(
    entry: &Entry,
    selection: EntrySelection,
    arguments: &FollowArgs,
) -> Result<(), LostOutput> {
    let output_only = selection == EntrySelection::Output;
    let is_line = matches!(entry.kind, EntryKind::Log);
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
