//! Cases that take more than one turn of one guest, one file each.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use skep_harness::Server;
use skep_protocol::{
    AccessRecord, BodyCut, CreateWorker, Entry, EntryKind, Error, HttpInstances, HttpRequest,
    HttpSpec, LimitChanges, LimitName, ListEntries, NewInput, Payload, Sent, WorkerId, WorkerSpec,
};

use crate::asker::{Asker, expect};
use crate::bed::Bed;
use crate::case::Case;
use crate::end::End;
use crate::expected::Expected;
use crate::guest::message;
use crate::vitals::{self, Vitals};

pub(crate) mod answers_without_end;
pub(crate) mod asks_for_the_clouds_metadata;
pub(crate) mod asks_for_too_many_connections;
pub(crate) mod asks_ten_thousand_times_at_once;
pub(crate) mod asks_the_hosts_own_port;
pub(crate) mod asks_the_private_network;
pub(crate) mod asks_this_machine;
pub(crate) mod bits_flipped_anywhere;
pub(crate) mod comes_back_late_with_a_key;
pub(crate) mod computes_after_its_head;
pub(crate) mod fakes_its_report;
pub(crate) mod fills_its_log;
pub(crate) mod fills_its_transcript;
pub(crate) mod floods_the_log_of_its_step;
pub(crate) mod grows_in_its_step;
pub(crate) mod has_its_name_lead_inside;
pub(crate) mod has_more_requests_than_may_wait;
pub(crate) mod has_more_requests_than_places;
pub(crate) mod is_answered_a_byte_at_a_time;
pub(crate) mod is_answered_in_one_piece;
pub(crate) mod is_answered_without_end;
pub(crate) mod is_bombed_with_headers;
pub(crate) mod is_never_answered;
pub(crate) mod is_redirected_inside;
pub(crate) mod leaves_too_large_an_output;
pub(crate) mod leaves_too_many_outputs;
pub(crate) mod never_answers;
pub(crate) mod never_drops_bodies;
pub(crate) mod never_drops_fields;
pub(crate) mod removed_while_it_loops;
pub(crate) mod sends_a_flood_of_keys;
pub(crate) mod sends_a_request_without_end;
pub(crate) mod sends_a_tree_that_is_a_bomb;
pub(crate) mod sends_too_large_an_input;
pub(crate) mod sends_too_many_bytes;
pub(crate) mod sends_too_many_inputs;
pub(crate) mod spins_in_its_step;
pub(crate) mod stopped_while_it_loops;
pub(crate) mod stores_more_than_there_is_room;
pub(crate) mod takes_the_host_down_with_it;
pub(crate) mod traps_in_mid_stream;
pub(crate) mod truncated_anywhere;
pub(crate) mod waits_for_stdin_that_never_comes;
pub(crate) mod wraps_an_address_in_another;
pub(crate) mod writes_numbers_oddly;
pub(crate) mod writes_to_a_terminal;

/// The bound on every wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bound on the host's growth for what one guest makes it hold: `hostcall_bytes`, and the same
/// again for everything else that runs.
const HOARD: u64 = 24 << 20;

/// Creates a worker of the guest `scribe`, which follows commands, with these limits.
async fn scribe(bed: &Bed, limits: &[(skep_protocol::LimitName, u64)]) -> WorkerId {
    let mut case = Case::service("scribe", Expected::Completed(""));
    case.limits = limits.to_vec();
    let wasm = std::fs::read(crate::guest::built("scribe")).unwrap();
    let component = bed.put(wasm).await.unwrap();
    bed.worker(component, &case).await
}

/// Creates a worker of the guest `responder`, which handles requests, with these limits.
async fn responder(bed: &Bed, limits: &[(skep_protocol::LimitName, u64)]) -> WorkerId {
    http_worker(bed, "responder", limits).await
}

/// Creates a worker of a guest that handles requests, with these limits.
async fn http_worker(
    bed: &Bed,
    guest: &'static str,
    limits: &[(skep_protocol::LimitName, u64)],
) -> WorkerId {
    let mut case = Case::service(guest, Expected::Completed(""));
    case.limits = limits.to_vec();
    let wasm = std::fs::read(crate::guest::built(guest)).unwrap();
    let component = bed.put(wasm).await.unwrap();
    bed.worker(component, &case).await
}

/// Creates workers whose guests do what the path of a request says, with these limits: one of
/// WASI 0.2, and one of 0.3 for each kind of instances.
async fn handlers(bed: &Bed, limits: &[(LimitName, u64)]) -> Vec<WorkerId> {
    let mut workers = vec![responder(bed, limits).await];
    let wasm = std::fs::read(crate::guest::built("concurrent_web")).unwrap();
    let component = bed.put(wasm).await.unwrap();
    for instances in [HttpInstances::Fresh, HttpInstances::Serial, HttpInstances::Concurrent] {
        let spec = WorkerSpec {
            limits: LimitChanges(limits.iter().copied().collect()),
            http: HttpSpec { instances, ..HttpSpec::default() },
            ..WorkerSpec::new(component)
        };
        let request = CreateWorker { worker_id: None, spec };
        workers.push(bed.runtime().create(request).await.unwrap().item.worker_id);
    }
    workers
}

/// Waits for the first entry about a request, and returns its reason with its record.
async fn access(bed: &Bed, worker: WorkerId) -> Result<(String, AccessRecord), String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let entries = entries(bed, worker).await;
        if let Some(entry) = entries.iter().find(|entry| entry.kind == EntryKind::Access) {
            let record = serde_json::from_slice(&entry.payload.body).unwrap();
            return Ok((entry.label.clone().unwrap_or_default(), record));
        }
        expect("an entry about the request", Instant::now() < until, worker)?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns the end that all have in common.
fn common(ends: Vec<End>) -> End {
    let mut ends = ends.into_iter();
    let first = ends.next().unwrap_or(End::Wrong("there is no end".into()));
    match ends.find(|end| std::mem::discriminant(end) != std::mem::discriminant(&first)) {
        Some(other) => End::Wrong(format!("{first:?}, and {other:?}")),
        None => first,
    }
}

/// Sends an HTTP worker a request, reads the whole answer, and returns its status.
async fn request(bed: &Bed, worker: WorkerId, target: &str) -> Result<u16, Error> {
    let body = http_body_util::Empty::new().map_err(|_| BodyCut).boxed_unsync();
    let mut request = HttpRequest::new(body);
    *request.uri_mut() = format!("http://a.example{target}").parse().unwrap();
    let answer = bed.runtime().http(worker, request).await?;
    let status = answer.status().as_u16();
    answer.into_body().collect().await.map_err(|_| Error::Internal)?;
    Ok(status)
}

/// Makes an input without waiting for its outcome.
fn post(payload: Payload) -> NewInput {
    NewInput { payload, key: None, wait: None, sender: None }
}

/// Sends a worker a command and waits for the outcome.
pub(crate) async fn tell(bed: &Bed, worker: WorkerId, text: &str) -> skep_protocol::Outcome {
    let input = NewInput { wait: Some(PATIENCE), ..post(message(text)) };
    match bed.runtime().send(worker, input).await.unwrap() {
        Sent::Done { outcome, .. } => outcome,
        Sent::Accepted { .. } => panic!("no outcome after {PATIENCE:?}"),
    }
}

/// Reads all entries of a worker's transcript.
pub(crate) async fn entries(bed: &Bed, worker: WorkerId) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut after = skep_protocol::Cursor(0);
    loop {
        let page =
            bed.runtime().transcript(worker, ListEntries::after(after, 1_000)).await.unwrap();
        entries.extend(page.entries);
        after = page.next;
        if !page.more {
            return entries;
        }
    }
}

/// Makes an ungranted guest `caller` hold as much host memory as it can. Returns the end of its
/// turn, or an error if the host grew by more than [`HOARD`].
async fn hoards(bed: &Bed, command: &str) -> Result<End, String> {
    let asker = Asker::with(bed, &[], &[]).await;
    // The instance and its memory are not part of the measurement.
    asker.tell("fields 1 1").await;
    let before = Vitals::now().resident_bytes;
    vitals::reset_peak();
    let outcome = asker.tell(command).await;
    let more = vitals::peak_bytes().saturating_sub(before);
    asker.remove().await;
    expect("growth of the host", more < HOARD, more)?;
    Ok(End::of_outcome(&outcome))
}

/// Waits until no connection to a server is open.
async fn quiet(server: &Server) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    while server.at_once() > 0 {
        expect("open connections", Instant::now() < until, server.at_once())?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
