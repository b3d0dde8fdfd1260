//! Pages of a transcript: backwards, filtered, with previews.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, Worker, assert_no_holes, body, eventually, message, next};

impl Worker<'_> {
    pub(crate) async fn page(&self, query: ListEntries) -> EntryPage {
        self.runtime().transcript(self.id, query).await.unwrap()
    }

    /// Reads all pages from the beginning.
    pub(crate) async fn forwards(&self, query: &ListEntries) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut after = Cursor(0);
        loop {
            let place = EntryPlace::After(after);
            let page = self.page(ListEntries { place, ..query.clone() }).await;
            assert!(page.entries.len() <= query.limit);
            entries.extend(page.entries);
            if !page.more {
                return entries;
            }
            assert!(page.next > after, "a page leads on");
            after = page.next;
        }
    }

    /// Reads all pages from the end.
    pub(crate) async fn backwards(&self, query: &ListEntries) -> Vec<Entry> {
        let mut pages = Vec::new();
        let mut place = EntryPlace::End;
        loop {
            let page = self.page(ListEntries { place, ..query.clone() }).await;
            assert!(page.entries.len() <= query.limit);
            assert_eq!(page.more, page.prev.is_some());
            pages.push(page.entries);
            let Some(before) = page.prev else { break };
            if let EntryPlace::Before(earlier) = place {
                assert!(before < earlier, "a page leads on");
            }
            place = EntryPlace::Before(before);
        }
        pages.into_iter().rev().flatten().collect()
    }
}

fn limited(limit: usize) -> ListEntries {
    ListEntries { limit, ..ListEntries::default() }
}

fn wanting(filter: EntryFilter) -> ListEntries {
    ListEntries { filter, ..limited(7) }
}

pub(crate) async fn the_transcript_is_read_backwards(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit-many 20").await;
    let all = worker.entries().await;
    let (first, last) = (all[0].seq, all.last().unwrap().seq);
    for limit in [1, 7, 100] {
        assert_eq!(worker.backwards(&limited(limit)).await, all, "{limit} on a page");
    }
    let end = worker.page(ListEntries::last(3)).await;
    assert_eq!(end.entries, all[all.len() - 3..]);
    assert_eq!((end.first_seq, end.last_seq), (Some(first), Some(last)));
    assert_eq!((end.next, end.prev, end.more), (last, Some(end.entries[0].seq), true));
    let middle = worker.page(ListEntries::before(Cursor(9), 3)).await;
    assert_eq!(middle.entries, all[5..8]);
    assert_eq!((middle.next, middle.prev), (Cursor(8), Some(Cursor(6))));
    let middle = worker.page(ListEntries::after(Cursor(5), 3)).await;
    assert_eq!((middle.next, middle.prev), (Cursor(8), Some(Cursor(6))));
    for before in [Cursor(0), first] {
        let none = worker.page(ListEntries::before(before, 3)).await;
        assert_eq!((none.entries.len(), none.prev, none.more), (0, None, false));
    }
    let all_again = worker.page(ListEntries::before(Cursor(u64::MAX), 1_000)).await;
    assert_eq!((all_again.entries, all_again.next), (all, last));
}

pub(crate) async fn a_filter_finds_each_entry_that_passes(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit-many 60").await;
    let input = worker.post("emit note A Needle here").await;
    worker.outcome(input).await;
    worker.ask("emit-many 60").await;
    let all = worker.entries().await;
    let text = |text: &str| Some(text.parse::<EntryText>().unwrap());
    let filters = [
        EntryFilter { kinds: vec![EntryKind::Event], ..EntryFilter::default() },
        EntryFilter {
            kinds: vec![EntryKind::Created, EntryKind::Output],
            ..EntryFilter::default()
        },
        EntryFilter { kinds: vec![EntryKind::Failed], ..EntryFilter::default() },
        EntryFilter { input_id: Some(input), ..EntryFilter::default() },
        EntryFilter { input_id: Some(crate::trial::input_id()), ..EntryFilter::default() },
        EntryFilter { text: text("nEEDLE"), ..EntryFilter::default() },
        EntryFilter { text: text("NOTE"), kinds: vec![EntryKind::Event], input_id: Some(input) },
        EntryFilter { text: text("nowhere"), ..EntryFilter::default() },
    ];
    for filter in filters {
        let expected: Vec<_> = all.iter().filter(|entry| filter.passes(entry)).cloned().collect();
        let query = wanting(filter);
        assert_eq!(worker.forwards(&query).await, expected, "{query:?}");
        assert_eq!(worker.backwards(&query).await, expected, "{query:?}");
    }
    let query = ListEntries { limit: 1_000, ..wanting(EntryFilter::default()) };
    assert_eq!(worker.forwards(&query).await, all);
}

/// After the last page of a search, a reader follows new entries from its cursor.
pub(crate) async fn a_filtered_page_leads_to_the_end(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let first = worker.post("emit note one").await;
    worker.outcome(first).await;
    worker.ask("echo two").await;
    let last = worker.entries().await.last().unwrap().seq;
    for filter in [
        EntryFilter { input_id: Some(first), ..EntryFilter::default() },
        EntryFilter { kinds: vec![EntryKind::Created], ..EntryFilter::default() },
    ] {
        let page = worker.page(ListEntries { limit: 100, ..wanting(filter) }).await;
        assert_eq!((page.next, page.more, page.last_seq), (last, false, Some(last)));
    }
}

pub(crate) async fn a_page_begins_at_a_time(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit-many 20").await;
    worker.ask("emit-many 20").await;
    let all = worker.entries().await;
    let at = |time| ListEntries { place: EntryPlace::At(time), ..limited(1_000) };
    let middle = all[all.len() / 2].at;
    let page = worker.page(at(middle)).await;
    let expected: Vec<_> = all.iter().filter(|entry| entry.at >= middle).cloned().collect();
    assert_eq!(page.entries, expected);
    assert_eq!(worker.page(at(Timestamp(0))).await.entries, all);
    let none = worker.page(at(Timestamp(all.last().unwrap().at.0 + 60_000))).await;
    assert_eq!((none.entries.len(), none.next), (0, all.last().unwrap().seq));
}

pub(crate) async fn a_preview_cuts_long_bodies(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let mut stream = worker.preview(Preview::new(20).unwrap()).await;
    let text = format!("emit note {}é", "x".repeat(19));
    worker.ask(&text).await;
    let event = loop {
        let entry = next(&mut stream).await.unwrap();
        if entry.kind == EntryKind::Event {
            break entry;
        }
    };
    assert_eq!((body(&event), event.body_bytes), ("x".repeat(19), Some(21)));
    let preview = Some(Preview::new(20).unwrap());
    let page = worker.page(ListEntries { preview, ..limited(1_000) }).await;
    let in_page = page.entries.iter().find(|entry| entry.seq == event.seq);
    assert_eq!(in_page, Some(&event));
    let whole = worker.entries().await;
    let cut = page.entries.iter().filter(|entry| entry.body_bytes.is_some());
    assert_eq!(
        cut.map(|entry| entry.seq).collect::<Vec<_>>(),
        whole.iter().filter(|e| e.payload.body.len() > 20).map(|e| e.seq).collect::<Vec<_>>()
    );
    assert!(whole.iter().all(|entry| entry.body_bytes.is_none()));
    // A search looks at whole bodies, whatever of them is shown.
    let filter = EntryFilter { text: Some("xÉ".parse().unwrap()), ..EntryFilter::default() };
    let found = worker.forwards(&ListEntries { preview, ..wanting(filter) }).await;
    assert!(found.iter().any(|entry| entry.seq == event.seq), "{found:?}");
}

pub(crate) async fn an_entry_is_read_by_its_seq(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit note some text").await;
    let all = worker.entries().await;
    for expected in &all {
        let entry = worker.runtime().entry(worker.id, expected.seq).await.unwrap();
        assert_eq!(&entry, expected);
    }
    for seq in [Cursor(0), Cursor(all.len() as u64 + 1), Cursor(u64::MAX)] {
        let missing = worker.runtime().entry(worker.id, seq).await.unwrap_err();
        assert_eq!(missing, Error::UnknownEntry { seq, trimmed: false });
    }
}

pub(crate) async fn a_trimmed_transcript_is_read_backwards_to_its_gap(trial: &Trial<'_>) {
    const LIMIT: u64 = 64 << 10;
    let worker = trial.limited(&[(LimitName::transcript_bytes, LIMIT)]).await;
    let note = format!("emit note {}", "x".repeat(8 << 10));
    eventually("the oldest entries are trimmed", async || {
        worker.send(message(&note)).await;
        let page = worker.page(ListEntries::last(1)).await;
        (page.first_seq > Some(Cursor(1))).then_some(())
    })
    .await;
    eventually("trimming is done", async || {
        let usage = worker.runtime().usage(worker.id).await.unwrap();
        (usage.transcript_bytes <= LIMIT).then_some(())
    })
    .await;
    let all = worker.page(ListEntries::last(1_000)).await;
    assert_no_holes(&all.entries);
    let [gap, first, ..] = &all.entries[..] else { panic!("a gap and an entry: {all:?}") };
    assert_eq!((gap.kind, Some(first.seq)), (EntryKind::Gap, all.first_seq));
    assert_eq!((all.prev, all.more), (None, false));
    for limit in [1, 3] {
        let read = worker.backwards(&limited(limit)).await;
        assert_eq!(read[0].kind, EntryKind::Gap, "{limit} on a page");
        assert_no_holes(&read);
    }
    let gone = worker.runtime().entry(worker.id, gap.seq).await.unwrap_err();
    assert_eq!(gone, Error::UnknownEntry { seq: gap.seq, trimmed: true });
    let text = Some("note".parse().unwrap());
    let found = worker.backwards(&wanting(EntryFilter { text, ..EntryFilter::default() })).await;
    assert!(found.iter().all(|entry| entry.kind != EntryKind::Gap) && !found.is_empty());
}
