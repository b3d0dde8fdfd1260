use std::time::Duration;

use super::*;
use crate::health::{StoreHealth, check};

const ENOUGH: Duration = Duration::from_secs(60);

fn health(kept: &TestStore) -> StoreHealth {
    check(&kept.dir, ENOUGH).unwrap()
}

#[test]
fn stores_in_use_can_be_checked() {
    let mut kept = TestStore::new();
    let record = kept.create();
    kept.create();
    let found = health(&kept);
    assert_eq!((found.workers, found.complete), (2, true));
    assert!(found.damaged.is_empty() && found.rows >= 4, "{found:?}");
    assert_eq!(found.format, found.newest_format);
    assert_eq!(found.runtime_id.as_ref(), Some(kept.runtime_id()));
    assert_eq!(kept.write(record.number, vec![event(b"x")]), [2]);
    kept.reopen();
    assert_eq!(kept.seqs(record.number), [1, 2]);
}

#[test]
fn checks_count_damage_by_table_and_write_nothing() {
    let kept = TestStore::new();
    let record = kept.create();
    kept.write(record.number, vec![event(b"a"), event(b"b")]);
    kept.raw().execute("UPDATE entry SET body = x'00' WHERE seq > 1", []).unwrap();
    kept.raw().execute("UPDATE worker SET desired = 1 - desired", []).unwrap();
    let found = health(&kept);
    assert_eq!(found.damaged, [("worker", 1), ("entry", 2)]);
    assert_eq!(health(&kept), found);
}

#[test]
fn checks_tell_an_empty_directory_from_a_broken_file() {
    let dir = cap_tempfile::tempdir(ambient_authority()).unwrap();
    assert!(matches!(check(&dir, ENOUGH), Err(OpenError::NotAStore)));
    assert_eq!(dir.entries().unwrap().count(), 0, "the check left a file behind");

    let mut kept = TestStore::new();
    kept.create();
    kept.store.take().unwrap().close();
    kept.dir.write("state.db", vec![7; 8_192]).unwrap();
    assert!(matches!(check(&kept.dir, ENOUGH), Err(OpenError::Damaged(_))));
}

#[test]
fn checks_without_time_are_incomplete() {
    let kept = TestStore::new();
    let record = kept.create();
    for _ in 0..20 {
        kept.write(record.number, (0..100).map(|_| event(b"x")).collect());
    }
    let found = check(&kept.dir, Duration::ZERO).unwrap();
    assert!(!found.complete && found.rows < 2_002, "{found:?}");
}
