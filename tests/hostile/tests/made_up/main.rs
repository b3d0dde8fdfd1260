//! Randomly generated guests, of which most run. Each is stored, made a worker, given two turns and
//! removed, beside a working neighbour.
//!
//! A guest's number is its seed, so a failure can be reproduced. Numbers start at
//! `SKEP_GUESTS_FIRST` (0). Without `SKEP_GUESTS_SECONDS`, the same few guests run on every
//! machine; with it, the test runs for that long.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod form;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use skep_hostile::{Bed, Case, Expected, Vitals, message, run_request};
use skep_protocol::{Ending, Error, LimitName, NewInput, Payload, Sent, WorkerId};
use skep_sandbox::Isolation;

use form::Form;

/// The bound on the bytes that a guest is generated from.
const DNA: u64 = 12_000;

/// The least number of guests.
const FEW: u64 = 40;

/// The deadline of a turn, in milliseconds.
const DEADLINE_MS: u64 = 100;

/// The bound on the wait for a turn.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_guests_run_and_leave_nothing() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let first = number("SKEP_GUESTS_FIRST").unwrap_or(0);
    let time = number("SKEP_GUESTS_SECONDS").map(Duration::from_secs);
    let until = time.map(|time| Instant::now() + time);
    let bed = Bed::open(&[], Isolation::Thread);
    let neighbour = bed.neighbour().await;
    let mut came_to: BTreeMap<(Form, String), u64> = BTreeMap::new();
    let (mut before, mut guests) = (None, 0_u64);
    for seed in first.. {
        if guests >= FEW && until.is_none_or(|until| Instant::now() > until) {
            break;
        }
        let form = Form::ALL[seed as usize % Form::ALL.len()];
        let Some(wasm) = form.guest(&dna(seed)) else { continue };
        // Printed before the run, since it may be the last line.
        eprintln!("guest {seed}: {form:?} of {} bytes", wasm.len());
        let end = one(&bed, form, wasm).await;
        *came_to.entry((form, end)).or_default() += 1;
        guests += 1;
        if guests == FEW / 2 {
            before = Some(Vitals::now());
        }
    }
    let report = neighbour.stop().await;
    assert_eq!(report.failures, Vec::<String>::new());
    before.unwrap().restored().unwrap();
    bed.close().await;
    for ((form, end), count) in &came_to {
        eprintln!("{form:?} {end}: {count}");
    }
    let ran = came_to.iter().filter(|((_, end), _)| !end.starts_with("refused"));
    let ran: u64 = ran.map(|(_, count)| count).sum();
    eprintln!("{guests} generated guests, {ran} ran, {} turns of a neighbour", report.turns.len());
    assert!(ran * 4 > guests, "only {ran} of {guests} guests ran");
}

fn dna(seed: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut dna = vec![0; usize::try_from(500 + random.next_u64() % DNA).unwrap()];
    random.fill_bytes(&mut dna);
    dna
}

/// Runs a guest, checks that nothing of it is left, and names its end.
async fn one(bed: &Bed, form: Form, wasm: Vec<u8>) -> String {
    let component = match bed.put(wasm).await {
        Ok(component) => component,
        Err(Error::ComponentRefused { .. }) => return "refused".into(),
        Err(error) => panic!("the component is neither stored nor refused: {error:?}"),
    };
    let case = Case::command("made up", Expected::Deadline)
        .with(LimitName::turn_deadline_ms, DEADLINE_MS)
        .with(LimitName::disk_bytes, 1 << 20);
    let worker = match bed.try_worker(component, &case).await {
        Ok(worker) => worker,
        // Its exports are of a kind that nothing runs.
        Err(Error::ComponentRefused { .. }) => {
            bed.runtime().remove_component(component).await.unwrap();
            return "refused as a worker".into();
        }
        Err(error) => panic!("the worker is neither created nor refused: {error:?}"),
    };
    let mut end = String::new();
    // The second turn meets what the first one left.
    for _ in 0..2 {
        let input = match form {
            Form::Service => message("an input for a generated guest"),
            Form::Component | Form::Module | Form::Command => run_request(&["some", "words"]),
        };
        end = turn(bed, worker, input).await;
    }
    bed.runtime().remove(worker).await.unwrap();
    bed.runtime().remove_component(component).await.unwrap();
    let gone = bed.runtime().get(worker).await;
    assert!(matches!(gone, Err(Error::WorkerRemoved)), "{gone:?}");
    end
}

async fn turn(bed: &Bed, worker: WorkerId, payload: Payload) -> String {
    let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
    match bed.runtime().send(worker, input).await.unwrap() {
        Sent::Done { outcome, .. } => {
            assert_ne!(outcome.ending, Ending::HostFault, "{outcome:?}");
            let limit = outcome.error.and_then(|error| error.limit);
            let limit = limit.map_or_else(String::new, |limit| format!(" {limit}"));
            format!("{}{limit}", outcome.ending.as_str())
        }
        Sent::Accepted { .. } => panic!("no outcome after {PATIENCE:?}"),
    }
}
