//! Guests that nobody wrote: their bytes are made up, but so that most of them run. Each is stored,
//! made a worker, given its turn and removed, beside a neighbour that works all the while.
//!
//! A guest's number is its seed, so that one that does harm can be made again. It begins with
//! `SKEP_GUESTS_FIRST` (0). Without `SKEP_GUESTS_SECONDS` it is the same few guests on every machine;
//! with it it goes on for so long.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod form;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use skep_hostile::{Bed, Case, Ends, Vitals, message, run_request};
use skep_protocol::{Ending, Error, LimitName, NewInput, Payload, Sent, WorkerId};
use skep_sandbox::Isolation;

use form::Form;

/// What a guest is made of at most, in bytes.
const DNA: u64 = 12_000;

/// Guests that there are at least.
const FEW: u64 = 40;

/// What a guest that does not end is given.
const DEADLINE_MS: u64 = 100;

/// The longest that a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_guests_come_and_go() {
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
        // Said before, since it may be the last that is said.
        eprintln!("guest {seed}: {form:?} of {} bytes", wasm.len());
        let end = one(&bed, form, wasm).await;
        *came_to.entry((form, end)).or_default() += 1;
        guests += 1;
        if guests == FEW / 2 {
            before = Some(Vitals::now());
        }
    }
    let peace = neighbour.leave().await;
    assert_eq!(peace.failures, Vec::<String>::new());
    before.unwrap().restored().unwrap();
    bed.close().await;
    for ((form, end), count) in &came_to {
        eprintln!("{form:?} {end}: {count}");
    }
    let ran = came_to.iter().filter(|((_, end), _)| !end.starts_with("refused"));
    let ran: u64 = ran.map(|(_, count)| count).sum();
    eprintln!("{guests} made-up guests, {ran} ran, {} turns of a neighbour", peace.turns.len());
    assert!(ran * 4 > guests, "of {guests} no more than {ran} ran, so that little was tried");
}

fn dna(seed: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut dna = vec![0; usize::try_from(500 + random.next_u64() % DNA).unwrap()];
    random.fill_bytes(&mut dna);
    dna
}

/// What came of a guest. Whatever that is, nothing is left of it.
async fn one(bed: &Bed, form: Form, wasm: Vec<u8>) -> String {
    let component = match bed.put(wasm).await {
        Ok(component) => component,
        Err(Error::ComponentRefused { .. }) => return "refused".into(),
        Err(error) => panic!("it is neither stored nor refused: {error:?}"),
    };
    let case = Case::command("made up", Ends::Deadline)
        .with(LimitName::turn_deadline_ms, DEADLINE_MS)
        .with(LimitName::disk_bytes, 1 << 20);
    let worker = match bed.try_worker(component, &case).await {
        Ok(worker) => worker,
        // It says what it is in a way that nothing runs.
        Err(Error::ComponentRefused { .. }) => {
            bed.runtime().remove_component(component).await.unwrap();
            return "refused as a worker".into();
        }
        Err(error) => panic!("it is neither made nor refused: {error:?}"),
    };
    let mut end = String::new();
    // What is left of the first turn meets the second.
    for _ in 0..2 {
        let input = match form {
            Form::Service => message("a made-up guest is asked this"),
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
        Sent::Accepted { .. } => panic!("it has no outcome after {PATIENCE:?}"),
    }
}
