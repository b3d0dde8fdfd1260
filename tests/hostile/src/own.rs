//! Cases that are more than one turn of one guest, one file each.

use std::time::Duration;

use skep_protocol::{Entry, NewInput, Payload, Sent, WorkerId};

use crate::bed::{Bed, message};
use crate::case::Case;
use crate::seen::Ends;

pub(crate) mod bits_flipped_anywhere;
pub(crate) mod comes_back_late_with_a_key;
pub(crate) mod fakes_its_report;
pub(crate) mod fills_its_log;
pub(crate) mod fills_its_transcript;
pub(crate) mod removed_while_it_loops;
pub(crate) mod sends_a_flood_of_keys;
pub(crate) mod sends_too_large_an_input;
pub(crate) mod sends_too_many_bytes;
pub(crate) mod sends_too_many_inputs;
pub(crate) mod stopped_while_it_loops;
pub(crate) mod takes_the_host_down_with_it;
pub(crate) mod truncated_anywhere;
pub(crate) mod waits_for_stdin_that_never_comes;
pub(crate) mod writes_to_a_terminal;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A worker of the guest `scribe`, which does what it is told, with these limits.
async fn scribe(bed: &Bed, limits: &[(skep_protocol::LimitName, u64)]) -> WorkerId {
    let mut case = Case::service("scribe", Ends::Completed(""));
    case.limits = limits.to_vec();
    let wasm = std::fs::read(crate::bed::built("scribe")).unwrap();
    let component = bed.put(wasm).await.unwrap();
    bed.worker(component, &case).await
}

/// An input that is not waited for.
fn post(payload: Payload) -> NewInput {
    NewInput { payload, key: None, wait: None, sender: None }
}

/// Tells a scribe to do something, and waits until it has.
async fn tell(bed: &Bed, worker: WorkerId, text: &str) -> skep_protocol::Outcome {
    let input = NewInput { wait: Some(PATIENCE), ..post(message(text)) };
    match bed.runtime().send(worker, input).await.unwrap() {
        Sent::Done { outcome, .. } => outcome,
        Sent::Accepted { .. } => panic!("it has no outcome for so long"),
    }
}

/// The entries of its transcript.
pub(crate) async fn entries(bed: &Bed, worker: WorkerId) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut after = skep_protocol::Cursor(0);
    loop {
        let page = bed.runtime().transcript(worker, after, 1_000).await.unwrap();
        entries.extend(page.entries);
        after = page.next;
        if !page.more {
            return entries;
        }
    }
}
