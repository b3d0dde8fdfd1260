//! `skep worker state`: the keys and values that a worker keeps. Reading them wakes no worker.

use clap::Args;
use skep_protocol::text::neutral;
use skep_protocol::{ListState, StateItem, Workers};

use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::table::Table;
use crate::{json, terminal};

/// Items of a page.
const PAGE: usize = 1_000;

/// Characters of a value in a table. JSON has the value's first 4 KiB.
const SHOWN: usize = 60;

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker state tally
  skep worker state tally user/ --output json | jq '.items[].key'")]
pub(super) struct StateArgs {
    /// Worker: its id, RUNTIME/ID, or name
    worker: String,

    /// Only keys that begin with this text
    prefix: Option<String>,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl StateArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

pub(super) async fn state(arguments: &StateArgs) -> Result<u8, Failed> {
    let (runtime, worker) = arguments.connect.connect()?.worker(&arguments.worker).await?;
    let (mut items, mut cursor) = (Vec::new(), None);
    loop {
        let query = ListState { prefix: arguments.prefix.clone(), limit: PAGE, cursor };
        let page = runtime.state(worker, query).await?;
        items.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    match arguments.output() {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["KEY", "BYTES", "VALUE"]);
            for item in &items {
                table.row([&item.key, &item.bytes, &beginning(item)]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}

/// Returns the beginning of a value as one line, in hex if it is not text.
fn beginning(item: &StateItem) -> String {
    let body = &item.value.body;
    let text = match std::str::from_utf8(body) {
        Ok(text) => neutral(text).to_string(),
        Err(_) => body.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let cut: String = text.chars().take(SHOWN).collect();
    if cut.len() < text.len() || (body.len() as u64) < item.bytes { cut + "…" } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_binary_values_are_cut_to_one_line() {
        let shown = |value: &[u8]| beginning(&StateItem::of("k".into(), value));
        assert_eq!(shown(b"three"), "three");
        assert_eq!(shown(&[0xff, 0]), "ff00");
        assert_eq!(shown(&[b'a'; 61]), format!("{}…", "a".repeat(SHOWN)));
        assert!(!shown(b"two\nlines\x1b[2J").contains(['\n', '\x1b']));
        assert!(shown(&vec![b' '; StateItem::SHOWN + 1]).ends_with('…'));
    }
}
