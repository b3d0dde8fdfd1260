//! JSON from a caller, a remote or a file of ours: a parsed value survives a round trip. A problem
//! becomes an error and the same problem again.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use skep_protocol::text::is_unsafe;
use skep_protocol::{
    AuditEntry, Change, ComponentView, ConfigValues, ConfigView, CreateWorker, Diagnostic, Entry,
    EntryPage, Error, FileListing, FileView, FleetChange, HostView, InputView, LimitChanges,
    Limits, Listing, Me, NewConfig, Outcome, Page, Problem, RunRequest, RuntimeSummary,
    RuntimeView, Sent, TokenView, Usage, WorkerChange, WorkerEntry, WorkerView,
};

pub(crate) fn run(data: &[u8]) {
    let Some((&which, json)) = data.split_first() else { return };
    match which % 30 {
        0 => problem(json),
        1 => config(json),
        2 => limits(json),
        3 => same::<CreateWorker>(json),
        4 => same::<WorkerChange>(json),
        5 => same::<RunRequest>(json),
        6 => same::<NewConfig>(json),
        7 => same::<ConfigView>(json),
        8 => same::<ComponentView>(json),
        9 => same::<Entry>(json),
        10 => same::<EntryPage>(json),
        11 => same::<InputView>(json),
        12 => same::<Outcome>(json),
        13 => same::<Sent>(json),
        14 => same::<Change>(json),
        15 => same::<FleetChange>(json),
        16 => same::<RuntimeView>(json),
        17 => same::<RuntimeSummary>(json),
        18 => same::<WorkerView>(json),
        19 => same::<Usage>(json),
        20 => same::<FileView>(json),
        21 => same::<Diagnostic>(json),
        22 => same::<AuditEntry>(json),
        23 => same::<HostView>(json),
        24 => same::<Listing<WorkerEntry>>(json),
        25 => same::<Page<WorkerView>>(json),
        26 => same::<Listing<RuntimeSummary>>(json),
        27 => same::<TokenView>(json),
        28 => same::<Me>(json),
        _ => same::<FileListing>(json),
    }
}

fn read<T: Serialize + DeserializeOwned + PartialEq + Debug>(json: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(json).ok()?;
    let written = serde_json::to_string(&value).expect("a parsed value can be written");
    let again: T = match serde_json::from_str(&written) {
        Ok(again) => again,
        Err(error) => panic!("{error}: {written}"),
    };
    assert_eq!(again, value, "{written}");
    Some(value)
}

fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(json: &[u8]) {
    drop(read::<T>(json));
}

fn problem(json: &[u8]) {
    let Some(problem) = read::<Problem>(json) else { return };
    let Some(error) = problem.into_error() else { return };
    let again = Problem::from(&error);
    assert_eq!((again.status, again.code.as_str()), (error.status(), error.code()));
    assert_eq!(again.into_error().as_ref(), Some(&error));
    // The client escapes the one remote text that an error carries.
    let quotes = matches!(error, Error::ComponentRefused { .. });
    assert!(quotes || !error.to_string().chars().any(is_unsafe), "{error:?}");
}

fn config(json: &[u8]) {
    let Some(values) = read::<ConfigValues>(json) else { return };
    let bytes = values.canonical_bytes();
    let mut rest = bytes.as_slice();
    for (key, value) in values.iter() {
        assert!(!key.is_empty() && !key.chars().any(is_unsafe), "{key:?}");
        let text = [key, value].concat();
        let lengths = [key.len() as u64, value.len() as u64].map(u64::to_le_bytes).concat();
        rest = rest.strip_prefix(lengths.as_slice()).expect("two lengths");
        rest = rest.strip_prefix(text.as_bytes()).expect("key and value");
    }
    assert!(rest.is_empty(), "the bytes contain more than the values");
}

fn limits(json: &[u8]) {
    let Some(changes) = read::<LimitChanges>(json) else { return };
    let limits = changes.over(&Limits::default());
    for (name, value) in changes.0 {
        assert_eq!(limits.get(name), value);
    }
    assert!(limits.compile_memory_for(u64::MAX) <= limits.compile_memory_bytes);
}
