//! Work whose instructions are counted, for `cargo xtask counts`.
//!
//! Each case does the same work a given number of times. The difference between two numbers of times
//! is that work alone, without what the process does once. No guest runs: callgrind would count the
//! compiler, which takes minutes under it.

use std::path::Path;

use clap::ValueEnum;
use skep_protocol::{Cursor, Limits};
use skep_sandbox::Shape;
use skep_store::{Store, Transaction, WorkerNumber, WorkerWrite};

use crate::Failure;
use crate::durable::store;
use crate::growth::{events_of, record};

/// The work of one path of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CountedCase {
    /// Reads the shape of a module.
    Shape,
    /// Commits what a turn writes: an event and two keys.
    Commit,
    /// Reads a page of 100 entries.
    Page,
}

/// Entries in a page.
const PAGE: usize = 100;

/// Does the work of a case this often, with records in an empty folder.
pub(crate) fn repeat(case: CountedCase, times: u32, folder: &Path) -> Result<(), Failure> {
    match case {
        CountedCase::Shape => {
            let wasm = module()?;
            for _ in 0..times {
                Shape::read(&wasm, &Limits::default())?;
            }
            Ok(())
        }
        CountedCase::Commit => {
            let (store, worker) = with_worker(folder)?;
            for n in 0..times {
                let mut writes = events_of(1);
                for key in ["count", "latest"] {
                    let value = n.to_string().into_bytes();
                    writes.push(WorkerWrite::SetState { key: key.into(), value });
                }
                store.submit(Transaction { worker, writes }).wait()?;
            }
            store.close();
            Ok(())
        }
        CountedCase::Page => {
            let (store, worker) = with_worker(folder)?;
            store.submit(Transaction { worker, writes: events_of(PAGE) }).wait()?;
            for _ in 0..times {
                let page = store.entries(worker, Cursor::default(), PAGE)?;
                if page.entries.len() != PAGE {
                    return Err(format!("a page of {} entries", page.entries.len()).into());
                }
            }
            store.close();
            Ok(())
        }
    }
}

/// Makes a module of 500 functions. A guest of this tree would differ with its compiler.
fn module() -> Result<Vec<u8>, Failure> {
    let body = "(func (param i32) (result i32) local.get 0 i32.const 1 i32.add)";
    Ok(wat::parse_str(format!(
        "(module (import \"wasi_snapshot_preview1\" \"fd_write\" \
         (func (param i32 i32 i32 i32) (result i32))) (memory (export \"memory\") 1) {} \
         (func (export \"_start\")))",
        body.repeat(500)
    ))?)
}

/// Opens a store with one worker.
fn with_worker(folder: &Path) -> Result<(Store, WorkerNumber), Failure> {
    let store = store(folder)?;
    let worker = store.next_number();
    let writes = vec![WorkerWrite::Create(Box::new(record(worker, 0)))];
    store.submit(Transaction { worker, writes }).wait()?;
    Ok((store, worker))
}
