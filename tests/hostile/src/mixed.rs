//! A thousand hostile turns of all kinds, several at once, beside a well-behaved neighbour.
//!
//! The neighbour gets an input a hundred times a second. Each of its turns is timed from the moment
//! that it was due, so a turn that is held up also counts against those that become due meanwhile.
//! No turn may fail, and at most a twentieth may be left undone. Each of three parts of the
//! thousand follows some seconds of quiet, and the p99 of the neighbour's turns is compared with
//! that of the quiet time. The figure that counts, at most 5 times, is that of the benchmark `cargo
//! xtask bench mixed` in a release build: a debug build copies the data that guests pass about a
//! hundred times more slowly. This test only fails if the neighbour is starved (see `comparison`),
//! and takes the best part, since other work runs on the machine.
//!
//! Afterwards the process must hold what it held after a warm-up of the same turns, in which the
//! database's caches fill, within a twentieth and what the instance pool keeps.

mod comparison;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skep_protocol::{ComponentDigest, LimitName};
use skep_sandbox::Isolation;

use crate::bed::Bed;
use crate::case::Case;
use crate::cases;
use crate::expected::Expected;
use crate::neighbour::Neighbour;
use crate::vitals::{self, Vitals};

use comparison::{Comparison, Part};

/// The name of the test.
pub(crate) const NAME: &str = "a_thousand_mixed_turns";

/// The number of hostile turns.
const TURNS: usize = 1_000;

/// Concurrent turns. More run in the warm-up, so that nothing new is opened afterwards.
const AT_ONCE: usize = 4;
const AT_ONCE_TO_WARM_UP: usize = 8;

/// The parts of the test, each after a quiet time.
const PARTS: usize = 3;

/// The length of a quiet time.
const QUIET: Duration = Duration::from_secs(4);

/// The interval between the neighbour's inputs.
const PERIOD: Duration = Duration::from_millis(10);

/// The deadline of a guest that never ends, in milliseconds.
const SHORT: u64 = 100;

/// The bound on a turn's records. A commit of megabytes would delay all others.
const LITTLE: u64 = 256 << 10;

/// The keep-alive of idle threads in the blocking pool, and the janitor's interval.
const REST: Duration = Duration::from_secs(12);

/// Short cases of all groups, repeated in this order.
const MIX: &[&str] = &[
    "loops_for_ever",
    "panics",
    "wrong_magic",
    "grows_memory_for_ever",
    "climbs_out_of_its_directory",
    "answers_too_much",
    "calls_through_a_null",
    "sleeps_for_ever",
    "fills_memory",
    "native_code",
    "never_drops_descriptors",
    "panics_in_a_turn",
    "fills_its_disk_by_writing",
    "burns_its_fuel",
    "imports_what_nobody_offers",
    "emits_fake_entries",
    "recurses_deeply",
    "cancelled_in_its_sleep",
    "asks_for_all_randomness",
    "writes_control_sequences",
    "grows_a_table",
    "throws_for_ever",
    "endless_number",
    "fills_its_disk_with_holes",
    "emits_too_large_an_event",
    "traps_in_its_start_function",
    "never_drops_pollables",
    "answers_beyond_its_memory",
    "floods_its_output",
    "polls_busily",
    "fails_with_a_long_story",
    "follows_links_out",
    "realloc_traps",
    "wat_text",
    "initialises_memory_that_it_lacks",
    "keeps_what_it_removed",
    "writes_more_zeroes_than_allowed",
    "logs_for_ever",
    "drops_a_handle_twice",
    "cancelled_in_a_file_call",
];

/// A case, and its component unless it is refused.
struct Kind {
    case: Case,
    component: Option<ComponentDigest>,
}

/// Runs the test here and reports like [`crate::trial`].
pub(crate) fn run() -> Value {
    let mut told = run_in_parts(PARTS);
    if let Some(kept) = told["kept"].as_str().map(Value::from) {
        told["problems"].as_array_mut().unwrap().push(kept);
    }
    told
}

/// Runs any number of parts, each with a third of the turns. The report also has `parts`: the p99
/// of the neighbour's turns in each part in microseconds, as a pair of the quiet time and the busy
/// time; `held`: what the process held before and after; and `kept`: a text if that grew.
pub fn run_in_parts(parts: usize) -> Value {
    let threads =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let threads = threads.unwrap();
    let told = threads.block_on(told(parts));
    threads.shutdown_timeout(Duration::from_millis(100));
    told
}

async fn told(parts: usize) -> Value {
    let bed = Arc::new(Bed::open(&[], Isolation::Thread));
    let good = bed.good_worker("echo").await;
    let kinds = Arc::new(kinds(&bed).await);
    let neighbour = || Neighbour::start_every(bed.runtime(), good, PERIOD);

    let mut problems = Vec::new();
    let warming = neighbour();
    problems.extend(turns(&bed, &kinds, 0..TURNS, AT_ONCE_TO_WARM_UP).await);
    warming.stop().await;
    tokio::time::sleep(REST).await;
    let before = Vitals::now();
    vitals::reset_peak();

    let (mut comparison, mut mixed) = (Comparison::new(PERIOD), Duration::ZERO);
    for part in 0..parts {
        let quiet = neighbour();
        tokio::time::sleep(QUIET).await;
        let quiet = quiet.stop().await;
        let among = neighbour();
        let began = Instant::now();
        problems.extend(
            turns(&bed, &kinds, TURNS * part / PARTS..TURNS * (part + 1) / PARTS, AT_ONCE).await,
        );
        mixed += began.elapsed();
        comparison.add(Part { quiet, among: among.stop().await });
    }
    let failures = comparison.failures();
    if let Some(failure) = failures.first() {
        problems.push(format!("{} of the neighbour's turns failed: {failure}", failures.len()));
    }
    let peak_bytes = vitals::peak_bytes();
    let after = before.about_restored();
    let kept =
        (!after.is_about(&before)).then(|| format!("the host holds {after:?}, before {before:?}"));
    let held = [before, after].map(held);
    let figures = figures(parts, mixed, &comparison, &before, &after);
    if let Some(bed) = Arc::into_inner(bed) {
        bed.close().await;
    }
    json!({
        "end": "completed",
        "stopped_us": 0,
        "peak_bytes": peak_bytes,
        "over_bytes": 0,
        "neighbour_p99_us": (comparison.best().among * 1e6) as u64,
        "problems": problems,
        "slow": comparison.slow(),
        "figures": figures,
        "parts": comparison.micros(),
        "held": held,
        "kept": kept,
    })
}

/// Describes the run in a line.
fn figures(
    parts: usize,
    mixed: Duration,
    comparison: &Comparison,
    before: &Vitals,
    after: &Vitals,
) -> String {
    let best = comparison.best();
    let mib = |vitals: &Vitals| vitals.resident_bytes as f64 / f64::from(1 << 20);
    format!(
        "{} turns of {} kinds, {AT_ONCE} at once, in {:.1} s; {} of the neighbour's, at least {:.1} % of \
         the due ones, {} failed, p99 {:.1} ms in quiet and {:.1} ms beside them, {:.1} times ({}); \
         resident {:.1} MiB, then {:.1}; threads {}, then {}; descriptors {}, then {}",
        TURNS * parts / PARTS,
        MIX.len(),
        mixed.as_secs_f64(),
        comparison.turns(),
        comparison.least_made() * 1e2,
        comparison.failures().len(),
        best.quiet * 1e3,
        best.among * 1e3,
        best.ratio(),
        comparison.ratios(),
        mib(before),
        mib(after),
        before.threads,
        after.threads,
        before.descriptors,
        after.descriptors,
    )
}

fn held(vitals: Vitals) -> Value {
    json!({
        "resident_bytes": vitals.resident_bytes,
        "threads": vitals.threads,
        "descriptors": vitals.descriptors,
    })
}

/// Stores the components of the mix that are not refused.
async fn kinds(bed: &Bed) -> Vec<Kind> {
    let all = cases::all();
    let mut kinds = Vec::new();
    for name in MIX {
        let mut case = all.iter().find(|case| case.name == *name).unwrap().clone();
        if let Expected::Deadline = case.expected {
            case = case.with(LimitName::turn_deadline_ms, SHORT);
        }
        case =
            case.with(LimitName::output_bytes, LITTLE).with(LimitName::log_bytes_per_turn, LITTLE);
        // The checks are made where the case runs alone.
        (case.look, case.leaves_nothing) = (None, false);
        let component = match case.expected {
            Expected::Refused(_) => None,
            _ => Some(bed.put(case.wasm()).await.unwrap()),
        };
        kinds.push(Kind { case, component });
    }
    kinds
}

/// Runs some of the turns and describes those with an unexpected end.
async fn turns(
    bed: &Arc<Bed>,
    kinds: &Arc<Vec<Kind>>,
    which: std::ops::Range<usize>,
    at_once: usize,
) -> Vec<String> {
    let next = Arc::new(AtomicUsize::new(which.start));
    let hands = (0..at_once).map(|_| {
        let (bed, kinds, next) = (bed.clone(), kinds.clone(), next.clone());
        tokio::spawn(async move {
            let mut wrong = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                if n >= which.end {
                    return wrong;
                }
                let Kind { case, component } = &kinds[n % kinds.len()];
                let seen = match component {
                    Some(component) => bed.once(*component, case.input(), case).await.1,
                    None => bed.turn(case, case.wasm(), case.input()).await,
                };
                if !case.expected.matches(&seen.end) {
                    wrong.push(format!("{}: {:?}", case.name, seen.end));
                }
            }
        })
    });
    let mut wrong = Vec::new();
    for hand in hands.collect::<Vec<_>>() {
        wrong.extend(hand.await.unwrap());
    }
    wrong
}
