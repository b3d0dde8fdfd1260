//! Compiled functions, as a compiler reads and writes them.
//!
//! Two versions of a component in an interpreted language share nearly all functions. wasmtime asks
//! a [`CacheStore`] for each function by a hash of everything that its code depends on, and compiles
//! only those that the store does not have.
//!
//! ```text
//! file    header (48 bytes): name of the format, compatibility hash of the engine
//!         records
//! record  key (32) | length (4, little-endian) | check (32) | value
//! ```
//!
//! The check is the SHA-256 of the header, the key, the length and the value, so that a value counts
//! only under its own key and for its own engine. A value that fails its check is not used, and a
//! record that does not fit ends the file: what was cut off is compiled again.
//!
//! A compiler of untrusted bytes gets [`FunctionFiles`] with a read-only descriptor and nothing to
//! write to. What it is made to compile is therefore never found by another.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use wasmtime::CacheStore;

/// The name of the format, at the start of each file.
const FORMAT: &[u8; 16] = b"skep functions 1";

/// Bytes of a header: the format, and the engine's compatibility hash in hexadecimal.
pub(crate) const HEADER: usize = 48;

/// Bytes of a key and of a check.
const KEY: usize = 32;
const CHECK: usize = 32;

/// Bytes of a record besides its value.
const HEAD: usize = KEY + 4 + CHECK;

/// Maximum bytes of a value. A larger function is compiled each time.
const VALUE_BYTES: u32 = 16 << 20;

/// The hash of a function, from the compiler.
pub(crate) type Key = [u8; KEY];

/// The header of a file for one engine.
pub(crate) type Header = [u8; HEADER];

/// Returns the header for the engine with this compatibility hash.
pub(crate) fn header(engine: &str) -> Header {
    let mut header = [0; HEADER];
    header[..FORMAT.len()].copy_from_slice(FORMAT);
    let hash = engine.as_bytes();
    let length = hash.len().min(HEADER - FORMAT.len());
    header[FORMAT.len()..][..length].copy_from_slice(&hash[..length]);
    header
}

/// The descriptors of a function cache that one compilation gets.
#[derive(Debug)]
pub struct FunctionFiles {
    pub(crate) header: Header,
    /// The functions that can be reused, open for reading only.
    pub(crate) known: Option<File>,
    /// Memory for the functions that are compiled, after its header. `None` for untrusted bytes.
    pub(crate) fresh: Option<File>,
}

impl FunctionFiles {
    /// Returns true if the compilation can add to the cache.
    pub fn is_writable(&self) -> bool {
        self.fresh.is_some()
    }

    /// Returns a handle to read the added functions with. Returns `None` if none can be added.
    pub(crate) fn added(&self) -> Option<File> {
        self.fresh.as_ref()?.try_clone().ok()
    }
}

/// The place of a value in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The start of the record.
    pub(crate) at: u64,
    /// Bytes of the value.
    pub(crate) length: u32,
}

impl Place {
    /// Returns the bytes of the record.
    pub(crate) fn record_bytes(self) -> u64 {
        HEAD as u64 + u64::from(self.length)
    }
}

/// The records of a file, in order. Their values are not checked.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) records: Vec<(Key, Place)>,
    /// Bytes up to the end of the last record that fits.
    pub(crate) bytes: u64,
}

impl Index {
    /// Reads the heads of a file's records. A file with another header has none.
    pub(crate) fn read(file: &File, header: &Header) -> io::Result<Self> {
        // The standard library's call is not on the list of the second wall.
        let total = rustix::fs::fstat(file)?.st_size.cast_unsigned();
        let mut found = [0; HEADER];
        if total < HEADER as u64 {
            return Ok(Self::default());
        }
        file.read_exact_at(&mut found, 0)?;
        if found != *header {
            return Ok(Self::default());
        }
        let mut index = Self { records: Vec::new(), bytes: HEADER as u64 };
        let mut head = [0; HEAD];
        while index.bytes + HEAD as u64 <= total {
            file.read_exact_at(&mut head, index.bytes)?;
            let (key, length, _) = parts(&head);
            let place = Place { at: index.bytes, length };
            let end = index.bytes + place.record_bytes();
            if length > VALUE_BYTES || end > total {
                break;
            }
            index.records.push((key, place));
            index.bytes = end;
        }
        Ok(index)
    }
}

/// Splits the head of a record into key, length and check.
fn parts(head: &[u8; HEAD]) -> (Key, u32, [u8; CHECK]) {
    let (mut key, mut length, mut check) = ([0; KEY], [0; 4], [0; CHECK]);
    key.copy_from_slice(&head[..KEY]);
    length.copy_from_slice(&head[KEY..KEY + 4]);
    check.copy_from_slice(&head[KEY + 4..]);
    (key, u32::from_le_bytes(length), check)
}

fn check(header: &Header, key: &Key, value: &[u8]) -> [u8; CHECK] {
    let length = (value.len() as u64).to_le_bytes();
    let hash = Sha256::new().chain_update(header).chain_update(key);
    hash.chain_update(length).chain_update(value).finalize().into()
}

/// Encodes a record. Returns `None` for a value that is too large.
fn record(header: &Header, key: &Key, value: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(value.len()).ok().filter(|length| *length <= VALUE_BYTES)?;
    let mut record = Vec::with_capacity(HEAD + value.len());
    record.extend_from_slice(key);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&check(header, key, value));
    record.extend_from_slice(value);
    Some(record)
}

/// Reads the whole record at a place. Returns `None` if it fails its check.
pub(crate) fn intact_record(
    file: &File,
    header: &Header,
    key: &Key,
    place: Place,
) -> io::Result<Option<Vec<u8>>> {
    let mut record = vec![0; HEAD + place.length as usize];
    file.read_exact_at(&mut record, place.at)?;
    let Some((head, value)) = record.split_first_chunk::<HEAD>() else { return Ok(None) };
    let (found, _, wanted) = parts(head);
    let is_intact = found == *key && check(header, key, value) == wanted;
    Ok(is_intact.then_some(record))
}

/// The functions that one compilation reuses, and those that it adds.
#[derive(Debug)]
pub(crate) struct FunctionStore {
    header: Header,
    known: Option<(File, HashMap<Key, Place>)>,
    fresh: Option<Mutex<FreshFunctions>>,
    reused: AtomicU64,
    compiled: AtomicU64,
}

/// The functions that a compilation adds.
#[derive(Debug)]
struct FreshFunctions {
    /// `None` after a failed write: the rest is not kept.
    file: Option<File>,
    keys: HashSet<Key>,
}

impl FunctionStore {
    /// Reads the index of the known functions.
    pub(crate) fn open(files: FunctionFiles) -> io::Result<Self> {
        let FunctionFiles { header, known, fresh } = files;
        let known = match known {
            Some(file) => {
                let index = Index::read(&file, &header)?;
                Some((file, index.records.into_iter().collect()))
            }
            None => None,
        };
        let fresh =
            fresh.map(|file| Mutex::new(FreshFunctions { file: Some(file), keys: HashSet::new() }));
        let (reused, compiled) = Default::default();
        Ok(Self { header, known, fresh, reused, compiled })
    }

    /// Returns the numbers of functions that were reused and compiled so far.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.reused.load(Ordering::Relaxed), self.compiled.load(Ordering::Relaxed))
    }

    fn find(&self, key: &[u8]) -> Option<Vec<u8>> {
        let key: &Key = key.try_into().ok()?;
        let (file, places) = self.known.as_ref()?;
        let place = *places.get(key)?;
        // An unreadable record is compiled again, as a damaged one is.
        let mut record = intact_record(file, &self.header, key, place).ok().flatten()?;
        Some(record.split_off(HEAD))
    }

    fn keep(&self, key: &[u8], value: &[u8]) -> Option<()> {
        let key: &Key = key.try_into().ok()?;
        let mut fresh = lock(self.fresh.as_ref()?);
        if fresh.keys.contains(key) {
            return Some(());
        }
        let record = record(&self.header, key, value)?;
        let written = fresh.file.as_mut()?.write_all(&record);
        if written.is_err() {
            fresh.file = None;
            return None;
        }
        fresh.keys.insert(*key);
        Some(())
    }
}

fn lock(fresh: &Mutex<FreshFunctions>) -> MutexGuard<'_, FreshFunctions> {
    fresh.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CacheStore for FunctionStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let found = self.find(key);
        let count = if found.is_some() { &self.reused } else { &self.compiled };
        count.fetch_add(1, Ordering::Relaxed);
        found.map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.keep(key, &value).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::code::compiled::FreshCode;

    const ENGINE: &str = "0123456789abcdef0123456789abcdef";

    fn memory(bytes: &[u8]) -> File {
        let code = FreshCode::new().unwrap();
        let mut file = code.writer().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn store(known: Option<File>, fresh: Option<File>) -> FunctionStore {
        FunctionStore::open(FunctionFiles { header: header(ENGINE), known, fresh }).unwrap()
    }

    fn bytes(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// A file with two functions: key 1 with value `one`, key 2 with value `two`.
    fn two() -> Vec<u8> {
        let fresh = memory(&header(ENGINE));
        let store = store(None, Some(fresh.try_clone().unwrap()));
        assert!(store.insert(&[1; 32], b"one".to_vec()));
        assert!(store.insert(&[2; 32], b"two".to_vec()));
        bytes(&fresh)
    }

    #[test]
    fn a_kept_function_is_found_and_no_other() {
        let store = store(Some(memory(&two())), None);
        assert_eq!(store.get(&[1; 32]).as_deref(), Some(&b"one"[..]));
        assert_eq!(store.get(&[2; 32]).as_deref(), Some(&b"two"[..]));
        assert_eq!(store.get(&[3; 32]), None);
        assert_eq!(store.get(&[1; 31]), None);
        assert_eq!(store.counts(), (2, 2));
    }

    #[test]
    fn a_function_is_kept_once() {
        let fresh = memory(b"");
        let store = store(None, Some(fresh.try_clone().unwrap()));
        assert!(store.insert(&[1; 32], b"one".to_vec()));
        assert!(store.insert(&[1; 32], b"one".to_vec()));
        assert_eq!(bytes(&fresh).len(), HEAD + 3);
    }

    #[test]
    fn without_a_file_to_write_to_nothing_is_kept() {
        let store = store(Some(memory(&two())), None);
        assert!(!store.insert(&[3; 32], b"three".to_vec()));
        assert_eq!(store.get(&[3; 32]), None);
    }

    #[test]
    fn a_flipped_bit_anywhere_hides_only_what_it_touches() {
        let good = two();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let store = store(Some(memory(&bad)), None);
            for (key, value) in [([1; 32], b"one"), ([2; 32], b"two")] {
                let found = store.get(&key);
                assert!(found.is_none() || found.as_deref() == Some(&value[..]), "byte {at}");
            }
            let hit = |key: u8| store.get(&[key; 32]).is_some();
            let (first, second) = (HEADER..HEADER + HEAD + 3, HEADER + HEAD + 3..good.len());
            assert!(!first.contains(&at) || !hit(1), "byte {at}");
            assert!(!second.contains(&at) || !hit(2), "byte {at}");
            assert!(at >= HEADER || (!hit(1) && !hit(2)), "byte {at}");
        }
    }

    #[test]
    fn a_truncated_file_has_the_functions_before_the_cut() {
        let good = two();
        for length in 0..good.len() {
            let store = store(Some(memory(&good[..length])), None);
            assert_eq!(store.get(&[1; 32]).is_some(), length >= HEADER + HEAD + 3, "{length}");
            assert_eq!(store.get(&[2; 32]), None, "{length}");
        }
    }

    #[test]
    fn a_value_under_another_key_or_of_another_engine_is_not_used() {
        let good = two();
        let mut moved = good.clone();
        moved[HEADER..HEADER + KEY].copy_from_slice(&[3; KEY]);
        assert_eq!(store(Some(memory(&moved)), None).get(&[3; 32]), None);
        let mut other = good;
        let header = header("fedcba9876543210fedcba9876543210");
        other[..HEADER].copy_from_slice(&header);
        let files = FunctionFiles { header, known: Some(memory(&other)), fresh: None };
        assert_eq!(FunctionStore::open(files).unwrap().get(&[1; 32]), None);
    }

    #[test]
    fn a_length_past_the_end_or_past_the_maximum_is_not_read() {
        for length in [4_u32, VALUE_BYTES, u32::MAX] {
            let mut bad = two();
            bad[HEADER + KEY..][..4].copy_from_slice(&length.to_le_bytes());
            let store = store(Some(memory(&bad)), None);
            assert_eq!((store.get(&[1; 32]), store.get(&[2; 32])), (None, None), "{length}");
        }
    }

    #[test]
    fn threads_share_a_store() {
        let fresh = memory(&header(ENGINE));
        let writer = Arc::new(store(None, Some(fresh.try_clone().unwrap())));
        std::thread::scope(|scope| {
            for from in 0..4_u8 {
                let writer = writer.clone();
                scope.spawn(move || {
                    for key in (from..200).step_by(4) {
                        assert!(writer.insert(&[key; 32], vec![key; usize::from(key)]));
                    }
                });
            }
        });
        let reader = store(Some(memory(&bytes(&fresh))), None);
        for key in 0..200_u8 {
            assert_eq!(reader.get(&[key; 32]).unwrap(), vec![key; usize::from(key)]);
        }
    }
}
