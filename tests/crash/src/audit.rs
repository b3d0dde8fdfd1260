//! Inspects a closed store without the store's own code: the database's tables and the directories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use skep_protocol::WorkerId;

use crate::findings::Findings;
use crate::ledger::Ledger;
use crate::life::Place;

/// Checks the database. `whole` checks every page of it.
pub(crate) fn database(dir: &Path, ledger: &mut Ledger, whole: bool, findings: &mut Findings) {
    if let Err(error) = look(dir, ledger, whole, findings) {
        findings.wrong(format!("state.db cannot be read: {error}"));
    }
}

fn look(
    dir: &Path,
    ledger: &mut Ledger,
    whole: bool,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(dir.join("state.db"), flags)?;
    if whole {
        let sql = "PRAGMA integrity_check";
        let found: String = connection.query_row(sql, [], |row| row.get(0))?;
        findings.expect(found == "ok", || format!("integrity_check: {found}"));
    }
    let numbers = |table: &str| -> rusqlite::Result<BTreeMap<i64, WorkerId>> {
        let mut statement = connection.prepare(&format!("SELECT number, id FROM {table}"))?;
        let rows = statement.query_map([], |row| {
            let id: [u8; 16] = row.get(1)?;
            Ok((row.get(0)?, WorkerId::from_bytes(id).unwrap()))
        })?;
        rows.collect()
    };
    let (here, removed) = (numbers("worker")?, numbers("tombstone")?);
    for (number, id) in here.iter().chain(&removed) {
        let Some(life) = ledger.workers.get_mut(id) else {
            findings.wrong(format!("{id} is in the database without a request for it"));
            continue;
        };
        let known = *life.number.get_or_insert(*number);
        findings.expect(known == *number, || format!("{id} was number {known}, is {number}"));
        let place = if here.contains_key(number) { Place::Here } else { Place::Removed };
        findings.expect(life.is(place), || {
            format!("{id} is {place:?} in the database, expected {:?}", life.possible)
        });
    }
    for (number, id) in here.iter().filter(|(number, _)| removed.contains_key(number)) {
        findings.wrong(format!("number {number} belongs to {id} and to a removed worker"));
    }
    let mut owners = BTreeMap::new();
    for (id, life) in &ledger.workers {
        if let Some(number) = life.number
            && let Some(other) = owners.insert(number, *id)
        {
            findings.wrong(format!("number {number} was given to {other} and to {id}"));
        }
    }
    for table in ["entry", "input", "state", "usage", "label", "connected"] {
        let sql = format!("SELECT DISTINCT worker FROM {table}");
        let mut statement = connection.prepare(&sql)?;
        for worker in statement.query_map([], |row| row.get::<_, i64>(0))? {
            let worker = worker?;
            findings.expect(here.contains_key(&worker), || {
                format!("{table} has rows of number {worker}, which is {:?}", removed.get(&worker))
            });
        }
    }
    for (what, sql) in [
        (
            "inputs without their message",
            "SELECT count(*) FROM input i WHERE outcome_seq IS NULL AND NOT EXISTS \
             (SELECT 1 FROM entry e WHERE e.worker = i.worker AND e.seq = i.seq AND e.kind = 4)",
        ),
        ("removals that are not finished", "SELECT count(*) FROM tombstone WHERE pending <> 0"),
    ] {
        let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        findings.expect(count == 0, || format!("{count} {what}"));
    }
    Ok(())
}

/// Checks the directories after the janitor has run.
pub(crate) fn directories(
    dir: &Path,
    ledger: &Ledger,
    components: &BTreeSet<String>,
    findings: &mut Findings,
) {
    let names = |folder: &str| -> BTreeSet<String> {
        let Ok(entries) = std::fs::read_dir(dir.join(folder)) else { return BTreeSet::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    for name in names("workers") {
        let life = name.parse().ok().and_then(|id: WorkerId| ledger.workers.get(&id));
        let here = life.is_some_and(|life| life.is(Place::Here));
        findings.expect(here, || format!("a directory of {name} is left"));
    }
    for name in names("trash") {
        findings.wrong(format!("the trash still holds {name}"));
    }
    let found = names("components");
    findings.expect(found == *components, || {
        format!("the component files are {found:?}, expected {components:?}")
    });
}
