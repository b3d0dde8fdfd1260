//! Cases that are more than one turn of one guest, one file each.

use std::time::{Duration, Instant};

use skep_harness::Server;
use skep_protocol::{Entry, NewInput, Payload, Sent, WorkerId};

use crate::asker::{Asker, expect};
use crate::bed::{Bed, message};
use crate::case::Case;
use crate::seen::{End, Ends};
use crate::vitals::{self, Vitals};

pub(crate) mod asks_for_the_clouds_metadata;
pub(crate) mod asks_for_too_many_connections;
pub(crate) mod asks_ten_thousand_times_at_once;
pub(crate) mod asks_the_hosts_own_port;
pub(crate) mod asks_the_private_network;
pub(crate) mod asks_this_machine;
pub(crate) mod bits_flipped_anywhere;
pub(crate) mod comes_back_late_with_a_key;
pub(crate) mod fakes_its_report;
pub(crate) mod fills_its_log;
pub(crate) mod fills_its_transcript;
pub(crate) mod has_its_name_lead_inside;
pub(crate) mod is_answered_a_byte_at_a_time;
pub(crate) mod is_answered_in_one_piece;
pub(crate) mod is_answered_without_end;
pub(crate) mod is_bombed_with_headers;
pub(crate) mod is_never_answered;
pub(crate) mod is_redirected_inside;
pub(crate) mod never_drops_bodies;
pub(crate) mod never_drops_fields;
pub(crate) mod removed_while_it_loops;
pub(crate) mod sends_a_flood_of_keys;
pub(crate) mod sends_too_large_an_input;
pub(crate) mod sends_too_many_bytes;
pub(crate) mod sends_too_many_inputs;
pub(crate) mod stopped_while_it_loops;
pub(crate) mod takes_the_host_down_with_it;
pub(crate) mod truncated_anywhere;
pub(crate) mod waits_for_stdin_that_never_comes;
pub(crate) mod wraps_an_address_in_another;
pub(crate) mod writes_numbers_oddly;
pub(crate) mod writes_to_a_terminal;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most that a host may grow by what one guest has it hold: `hostcall_bytes`, and as much again
/// for all that is at work meanwhile.
const HOARD: u64 = 24 << 20;

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

/// Tells a worker to do something, and waits until it has.
pub(crate) async fn tell(bed: &Bed, worker: WorkerId, text: &str) -> skep_protocol::Outcome {
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

/// Has a guest without any grant take what it can get of its host by a command of the guest `caller`.
/// How its turn ended, if the host did not become much larger by it.
async fn hoards(bed: &Bed, command: &str) -> Result<End, String> {
    let asker = Asker::with(bed, &[], &[]).await;
    // Its instance and its memory are not what is asked about.
    asker.tell("fields 1 1").await;
    let before = Vitals::now().resident_bytes;
    vitals::reset_peak();
    let outcome = asker.tell(command).await;
    let more = vitals::peak_bytes().saturating_sub(before);
    asker.leave().await;
    expect("what the host held beside", more < HOARD, more)?;
    Ok(End::of_outcome(&outcome))
}

/// Waits for the end of all connections to a server.
async fn quiet(server: &Server) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    while server.at_once() > 0 {
        expect("connections that stay", Instant::now() < until, server.at_once())?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
