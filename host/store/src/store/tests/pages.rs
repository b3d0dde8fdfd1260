//! Pages of the transcript: their work is bounded, whatever is in it and whatever is wanted.

use std::time::{Duration, Instant};

use skep_protocol::{EntryFilter, EntryPlace, ListEntries, Preview};

use super::*;

/// A time in which any page is read, even by a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// Appends entries with bodies made from their numbers, in large transactions.
fn fill(kept: &TestStore, worker: WorkerNumber, count: u64, body: impl Fn(u64) -> Vec<u8>) {
    for start in (0..count).step_by(1_000) {
        let numbers = start..count.min(start + 1_000);
        kept.write(worker, numbers.map(|n| event(&body(n))).collect());
    }
}

fn wanting(text: &str) -> ListEntries {
    let text = Some(text.parse().unwrap());
    let filter = EntryFilter { text, ..EntryFilter::default() };
    ListEntries { limit: 100, filter, ..ListEntries::default() }
}

/// Reads all pages forwards. Returns the entries, and the number of pages.
fn all(kept: &TestStore, worker: WorkerNumber, query: &ListEntries) -> (Vec<u64>, usize) {
    let (mut seqs, mut after, mut pages) = (Vec::new(), Cursor(0), 0);
    loop {
        let place = EntryPlace::After(after);
        let began = Instant::now();
        let page = kept.list_entries(worker, &ListEntries { place, ..query.clone() }).unwrap();
        assert!(began.elapsed() < SOON, "a page took {:?}", began.elapsed());
        seqs.extend(page.entries.iter().map(|entry| entry.seq.0));
        pages += 1;
        if !page.more {
            return (seqs, pages);
        }
        assert!(page.next > after);
        after = page.next;
    }
}

#[test]
fn a_search_of_a_long_transcript_looks_at_a_part_at_a_time() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    fill(&kept, worker, 120_000, |n| match n {
        100_000 => b"a needle".to_vec(),
        _ => b"hay".to_vec(),
    });
    assert_eq!(all(&kept, worker, &wanting("NEEDLE")), (vec![100_002], 3));
    let kinds = vec![EntryKind::Created, EntryKind::Failure];
    let filter = EntryFilter { kinds, ..EntryFilter::default() };
    let query = ListEntries { limit: 100, filter, ..ListEntries::default() };
    assert_eq!(all(&kept, worker, &query), (vec![1], 3));
    let back = ListEntries { place: EntryPlace::End, ..query };
    let page = kept.list_entries(worker, &back).unwrap();
    assert_eq!((page.entries.len(), page.more, page.prev), (0, true, Some(Cursor(70_002))));

    // A turn is found without a search.
    let input = kept.input_id();
    let [first, last] = kept.write(worker, vec![accept(input, b"in"), end(input, b"out")])[..]
    else {
        panic!("two entries")
    };
    let filter = EntryFilter { input_id: Some(input), ..EntryFilter::default() };
    let turn = ListEntries { limit: 100, filter, ..ListEntries::default() };
    assert_eq!(all(&kept, worker, &turn), (vec![first, last], 1));

    // The end of a transcript is as near as its beginning.
    let began = Instant::now();
    let page = kept.list_entries(worker, &ListEntries::last(100)).unwrap();
    assert_eq!((page.entries.len(), page.last_seq), (100, Some(Cursor(last))));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_hostile_text_and_body_take_no_longer_than_others() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    // A naive search compares each of the 256 letters at each place.
    fill(&kept, worker, 60, |_| vec![b'a'; 1 << 20]);
    let text = format!("{}b", "a".repeat(255));
    let (found, pages) = all(&kept, worker, &wanting(&text));
    assert_eq!((found.len(), pages), (0, 4), "16 MiB for each page");
    let (found, _) = all(&kept, worker, &wanting("AAA"));
    assert_eq!(found.len(), 60);
}

#[test]
fn previews_of_large_bodies_are_bounded_too() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    fill(&kept, worker, 40, |_| vec![b'a'; 1 << 20]);
    let preview = Some(Preview::new(16).unwrap());
    let query = ListEntries { preview, ..ListEntries::last(1_000) };
    let page = kept.list_entries(worker, &query).unwrap();
    assert_eq!((page.entries.len(), page.more), (16, true));
    assert!(page.entries.iter().all(|entry| entry.body_bytes == Some(1 << 20)));
    // Bodies of other kinds are not even read.
    let filter = EntryFilter { kinds: vec![EntryKind::Created], ..EntryFilter::default() };
    let page = kept.list_entries(worker, &ListEntries { filter, ..query }).unwrap();
    assert_eq!((page.entries.len(), page.more), (1, false));
}

#[test]
fn positions_beyond_any_transcript_are_harmless() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let most = Cursor(u64::MAX);
    let page = kept.entries(worker, most, 10).unwrap();
    assert_eq!((page.entries.len(), page.next, page.more), (0, most, false));
    let page = kept.list_entries(worker, &ListEntries::before(most, 10)).unwrap();
    assert_eq!((page.entries.len(), page.next), (1, Cursor(1)));
    assert_eq!(kept.entry(worker, most).unwrap(), None);
    let at = EntryPlace::At(Timestamp(u64::MAX));
    let page = kept.list_entries(worker, &ListEntries { place: at, ..wanting("x") }).unwrap();
    assert_eq!((page.entries.len(), page.next), (0, Cursor(1)));
}

#[test]
fn a_missing_row_is_damage_in_either_direction() {
    let kept = TestStore::new();
    let record = kept.create();
    fill(&kept, record.number, 10, |_| b"x".to_vec());
    kept.raw().execute("DELETE FROM entry WHERE seq = 5", []).unwrap();
    for query in [
        ListEntries::after(Cursor(0), 100),
        ListEntries::after(Cursor(4), 100),
        ListEntries::last(100),
        ListEntries::before(Cursor(6), 2),
        wanting("x"),
    ] {
        let error = kept.list_entries(record.number, &query).unwrap_err();
        let named =
            matches!(error, StoreError::Damaged { worker: Some(id), .. } if id == record.id);
        assert!(named, "{query:?}: {error:?}");
    }
}

/// Prints the times of pages of a million entries.
#[test]
#[ignore = "a measurement"]
fn a_million_entries() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    fill(&kept, worker, 1_000_000, |n| format!("line {n} of an ordinary log").into_bytes());
    let kinds = |kinds: &[EntryKind]| ListEntries {
        limit: 100,
        filter: EntryFilter { kinds: kinds.to_vec(), ..EntryFilter::default() },
        ..ListEntries::default()
    };
    let at = |place, query: ListEntries| ListEntries { place, ..query };
    for (name, query) in [
        ("last 200", ListEntries::last(200)),
        ("before the middle", ListEntries::before(Cursor(500_000), 200)),
        ("at a time", at(EntryPlace::At(Timestamp(1_000)), ListEntries::last(200))),
        ("a text, 50,000 looked at", wanting("nowhere")),
        ("a kind, 50,000 looked at", kinds(&[EntryKind::Failure])),
        ("a kind from the end", at(EntryPlace::End, kinds(&[EntryKind::Failure]))),
    ] {
        let mut times: Vec<_> = (0..9)
            .map(|_| {
                let began = Instant::now();
                kept.list_entries(worker, &query).unwrap();
                began.elapsed()
            })
            .collect();
        times.sort();
        eprintln!("{name}: {:?}, at most {:?}", times[4], times[8]);
    }
}
