use std::thread;

use super::*;
use crate::FeedUpdate;
use crate::commit::block_on;

/// Follows the transcript up to an entry with the body `end`, and returns the positions.
fn follow(mut feed: Feed, mut after: Cursor) -> Vec<u64> {
    let mut seen = Vec::new();
    loop {
        let new = match block_on(feed.next(after)) {
            FeedUpdate::Entries(new) => new.iter().map(|entry| (**entry).clone()).collect(),
            FeedUpdate::Behind => feed.read(after, 100).unwrap().entries,
            FeedUpdate::Ended => return seen,
        };
        for entry in new {
            after = entry.seq;
            seen.push(entry.seq.0);
            if entry.payload.body[..] == *b"end" {
                return seen;
            }
        }
    }
}

#[test]
fn followers_neither_lose_nor_repeat_entries() {
    const EACH: u64 = 2_000;
    let kept = TestStore::new();
    let workers: Vec<_> = (0..3).map(|_| kept.create().number).collect();
    thread::scope(|scope| {
        let mut followers = Vec::new();
        for &worker in &workers {
            let store = (*kept).clone();
            scope.spawn(move || {
                let commits: Vec<_> = (0..EACH)
                    .map(|n| {
                        let writes = vec![event(if n + 1 == EACH { b"end" } else { b"more" })];
                        if n % 50 == 0 {
                            thread::yield_now();
                        }
                        store.submit(Transaction { worker, writes })
                    })
                    .collect();
                commits.into_iter().for_each(|commit| drop(commit.wait().unwrap()));
            });
            // Start followers at different moments while entries are written.
            for _ in 0..4 {
                let feed = kept.watch(worker);
                followers.push(scope.spawn(move || follow(feed, Cursor(0))));
                kept.state_get(worker, "k").unwrap();
            }
        }
        for follower in followers {
            assert_eq!(follower.join().unwrap(), (1..=EACH + 1).collect::<Vec<_>>());
        }
    });
}

#[test]
fn slow_followers_read_from_disk() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let mut feed = kept.watch(worker);
    assert!(matches!(block_on(feed.next(Cursor(0))), FeedUpdate::Behind));
    assert_eq!(feed.read(Cursor(0), 10).unwrap().next, Cursor(1));
    for _ in 0..600 {
        kept.submit(Transaction { worker, writes: vec![event(b"x")] });
    }
    kept.write(worker, vec![event(&[0; 2 << 20])]);
    assert!(matches!(block_on(feed.next(Cursor(1))), FeedUpdate::Behind));
    // The last entry is larger than the ring, but is not skipped.
    assert!(matches!(block_on(feed.next(Cursor(601))), FeedUpdate::Behind));
    kept.write(worker, vec![event(b"end")]);
    assert_eq!(follow(feed, Cursor(1)), (2..=603).collect::<Vec<_>>());
}

#[test]
fn followed_entries_equal_stored_entries() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let mut feed = kept.watch(worker);
    feed.read(Cursor(0), 10).unwrap();
    let id = kept.input_id();
    kept.write(worker, vec![accept(id, b"in"), event(b"e"), end(id, b"out")]);
    let FeedUpdate::Entries(new) = block_on(feed.next(Cursor(1))) else {
        panic!("expected entries")
    };
    let new: Vec<_> = new.iter().map(|entry| (**entry).clone()).collect();
    assert_eq!(new, kept.entries(worker, Cursor(1), 10).unwrap().entries);
}

#[test]
fn feeds_end_when_the_worker_is_removed() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let feed = kept.watch(worker);
    let ended = thread::spawn(move || follow(feed, Cursor(0)));
    kept.write(worker, vec![WorkerWrite::Remove { at: Timestamp(2_000) }]);
    assert!(ended.join().unwrap().len() <= 1);
    // A feed that starts after the removal ends too.
    let mut late = kept.watch(worker);
    assert!(matches!(block_on(late.next(Cursor(1))), FeedUpdate::Behind));
    late.read(Cursor(1), 10).unwrap();
    assert!(matches!(block_on(late.next(Cursor(1))), FeedUpdate::Ended));
}

#[test]
fn feeds_end_when_the_store_is_closed() {
    let mut kept = TestStore::new();
    let worker = kept.create().number;
    let feed = kept.watch(worker);
    let ended = thread::spawn(move || {
        let mut feed = feed;
        while !matches!(block_on(feed.next(Cursor(1))), FeedUpdate::Ended) {
            drop(feed.read(Cursor(1), 10));
        }
    });
    kept.store.take().unwrap().close();
    ended.join().unwrap();
}
