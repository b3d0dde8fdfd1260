//! Pages of a transcript.

use skep_protocol::*;

use super::disk::Row;

/// Entries that a filtered page looks at. Few, so that the tests meet short pages.
const LOOKED_AT: usize = 16;

impl Row {
    pub(super) fn page(&self, query: &ListEntries) -> EntryPage {
        let limit = if query.limit == 0 { 100 } else { query.limit };
        let entries: Vec<&Entry> = self.entries.iter().collect();
        let is_before = |entry: &&&Entry| match query.place {
            EntryPlace::After(after) => entry.seq <= after,
            EntryPlace::Before(before) => entry.seq < before,
            EntryPlace::End => true,
            EntryPlace::At(time) => entry.at < time,
        };
        let (earlier, later) = entries.split_at(entries.iter().take_while(is_before).count());
        let place = match query.place {
            EntryPlace::After(after) => after,
            _ => earlier.last().map_or(Cursor(0), |entry| entry.seq),
        };
        let backwards = matches!(query.place, EntryPlace::Before(_) | EntryPlace::End);
        let (found, at, more) = match backwards {
            true => look(earlier.iter().rev(), limit, query),
            false => look(later.iter(), limit, query),
        };
        let (next, prev) = match backwards {
            true => (place, at.filter(|_| more)),
            false => {
                let last = Cursor(self.last_seq).max(place);
                let prev = Some(Cursor(place.0.saturating_add(1)));
                let next = if more { at.unwrap_or(place) } else { last };
                (next, prev.filter(|_| earlier.iter().any(|entry| entry.kind != EntryKind::Gap)))
            }
        };
        let first = entries.iter().find(|entry| entry.kind != EntryKind::Gap);
        let mut entries = found;
        entries.sort_by_key(|entry| entry.seq);
        EntryPage {
            entries,
            next,
            prev,
            more,
            first_seq: first.map(|entry| entry.seq),
            last_seq: Some(Cursor(self.last_seq)),
        }
    }
}

/// Returns the entries that pass, the last one that was looked at, and whether there are more.
fn look<'a>(
    mut entries: impl Iterator<Item = &'a &'a Entry>,
    limit: usize,
    query: &ListEntries,
) -> (Vec<Entry>, Option<Cursor>, bool) {
    let (mut found, mut at) = (Vec::new(), None);
    for looked_at in 0_usize.. {
        let Some(entry) = entries.next() else { return (found, at, false) };
        let tired = !query.filter.is_empty() && looked_at == LOOKED_AT;
        if found.len() == limit || tired {
            return (found, at, true);
        }
        at = Some(entry.seq);
        if query.filter.passes(entry) {
            let mut entry = Entry::clone(entry);
            if let Some(preview) = query.preview {
                preview.cut(&mut entry);
            }
            found.push(entry);
        }
    }
    unreachable!("the entries are finite")
}
