//! A thousand hostile turns of all kinds, several at once, beside a worker that does its own.
//!
//! The neighbour is due an input a hundred times a second, and each of its turns counts from when it
//! was due, so that what holds up one holds up all that are due meanwhile. None may fail, and no more
//! than a twentieth may be left undone. Before each of three parts of the thousand it has some seconds
//! of quiet, and the time within which all but a hundredth of its turns end is compared with what it
//! was in that quiet. The figure that counts, at most 5 times, is the benchmark's, `cargo xtask bench
//! mixed`, with what the compiler makes of a release: a debug build copies what guests pass some
//! hundred times more slowly. As a test only what is past [`STARVED`] fails, and the best of the parts
//! counts, as other things run on the machine.
//!
//! Afterwards, the process has to hold what it held after a warm-up of the same turns, in which the
//! database's caches fill, but for a twentieth.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skep_protocol::{ComponentDigest, LimitName};
use skep_sandbox::Isolation;

use crate::bed::{Bed, input, wasm};
use crate::case::Case;
use crate::cases;
use crate::neighbour::{Neighbour, Peace};
use crate::seen::Ends;
use crate::vitals::{self, Vitals};

/// Its name among the tests.
pub(crate) const NAME: &str = "a_thousand_mixed_turns";

/// Hostile turns.
const TURNS: usize = 1_000;

/// Of them at once; and in the warm-up, so that as much is open then as will ever be.
const AT_ONCE: usize = 4;
const AT_ONCE_TO_WARM_UP: usize = 8;

/// Parts of the test, with a quiet time before each.
const PARTS: usize = 3;

/// How long a quiet time is.
const QUIET: Duration = Duration::from_secs(4);

/// From one of the neighbour's inputs to the next.
const PERIOD: Duration = Duration::from_millis(10);

/// How many times as long as in quiet the neighbour's turns take where it is starved, which no other
/// work on the machine explains: that makes the quiet ones slow as well.
const STARVED: f64 = 15.0;

/// Of the turns that are due, the part that the neighbour has to come to.
const MADE: f64 = 0.95;

/// A turn that does not end by itself.
const SHORT: u64 = 100;

/// What a turn may leave in the record. A commit of megabytes holds up all others for its time.
const LITTLE: u64 = 256 << 10;

/// How long threads of the blocking pool live on without work, and the janitor's pauses.
const REST: Duration = Duration::from_secs(12);

/// The cases: short ones of all groups. They are taken in this order, again and again.
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

/// A case, and its component where it is not refused.
struct Kind {
    case: Case,
    component: Option<ComponentDigest>,
}

/// Runs it here, and says what came of it, as [`crate::trial`] does.
pub(crate) fn run() -> Value {
    let mut told = run_in_parts(PARTS);
    if let Some(kept) = told["kept"].as_str().map(Value::from) {
        told["problems"].as_array_mut().unwrap().push(kept);
    }
    told
}

/// The same, in as many parts of a third of the turns each as one likes. Also says, as `parts`, within
/// which time all but a hundredth of the neighbour's turns ended in each part, in microseconds: a pair
/// of that in quiet and that among the others. As `held` what the process held before and after, and
/// as `kept` in words where that is more.
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
    warming.leave().await;
    tokio::time::sleep(REST).await;
    let before = Vitals::now();
    vitals::reset_peak();

    let (mut windows, mut mixed, mut wrong) = (Vec::new(), Duration::ZERO, Vec::new());
    for part in 0..parts {
        let quiet = neighbour();
        tokio::time::sleep(QUIET).await;
        let quiet = quiet.leave().await;
        let among = neighbour();
        let began = Instant::now();
        problems.extend(
            turns(&bed, &kinds, TURNS * part / PARTS..TURNS * (part + 1) / PARTS, AT_ONCE).await,
        );
        mixed += began.elapsed();
        let among = among.leave().await;
        wrong.extend(quiet.failures.iter().chain(&among.failures).cloned());
        windows.push((quiet, among));
    }
    if let Some(failure) = wrong.first() {
        problems.push(format!("{} of the neighbour's turns failed: {failure}", wrong.len()));
    }
    let peak_bytes = vitals::peak_bytes();
    let after = before.about_restored();
    let kept = (!after.is_about(&before))
        .then(|| format!("the host holds {after:?}, and held {before:?}"));
    let held = [before, after].map(|vitals| {
        json!({
            "resident_bytes": vitals.resident_bytes,
            "threads": vitals.threads,
            "descriptors": vitals.descriptors,
        })
    });
    let times = |(quiet, among): &(Peace, Peace)| {
        let [quiet, among] = [quiet, among].map(|peace| peace.percentile(0.99).as_secs_f64());
        (among / quiet, quiet, among)
    };
    let best = windows.iter().map(times).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    let (slower, quiet, among) = best;
    let all: Vec<_> = windows.iter().map(|window| format!("{:.1}", times(window).0)).collect();
    let micros = |peace: &Peace| peace.percentile(0.99).as_micros() as u64;
    let pairs: Vec<_> = windows.iter().map(|(q, a)| [micros(q), micros(a)]).collect();
    let mut slow = Vec::new();
    if slower > STARVED {
        slow.push(format!("the neighbour's turns took {} times as long", all.join(", ")));
    }
    let all_peace = || windows.iter().flat_map(|(quiet, among)| [quiet, among]);
    let neighbours: usize = all_peace().map(|peace| peace.turns.len()).sum();
    let made = |peace: &Peace| {
        peace.turns.len() as f64 * PERIOD.as_secs_f64() / peace.lasted.as_secs_f64()
    };
    let least = all_peace().map(made).min_by(f64::total_cmp).unwrap();
    if least < MADE {
        slow.push(format!("the neighbour came to {:.1} % of its turns only", least * 1e2));
    }
    let mib = |vitals: &Vitals| vitals.resident_bytes as f64 / f64::from(1 << 20);
    let figures = format!(
        "{} turns of {} kinds, {AT_ONCE} at once, in {:.1} s; {neighbours} of the neighbour's, \
         {:.1} % of what was due at least, {} failed, p99 {:.1} ms in quiet and {:.1} ms among them, {slower:.1} times ({}); \
         resident {:.1} MiB and then {:.1}, threads {} and {}, descriptors {} and {}",
        TURNS * parts / PARTS,
        MIX.len(),
        mixed.as_secs_f64(),
        least * 1e2,
        wrong.len(),
        quiet * 1e3,
        among * 1e3,
        all.join(", "),
        mib(&before),
        mib(&after),
        before.threads,
        after.threads,
        before.descriptors,
        after.descriptors,
    );
    if let Some(bed) = Arc::into_inner(bed) {
        bed.close().await;
    }
    json!({
        "end": "completed",
        "stopped_us": 0,
        "peak_bytes": peak_bytes,
        "over_bytes": 0,
        "neighbour_p99_us": (among * 1e6) as u64,
        "problems": problems,
        "slow": slow,
        "figures": figures,
        "parts": pairs,
        "held": held,
        "kept": kept,
    })
}

/// The mix, with what is not refused stored.
async fn kinds(bed: &Bed) -> Vec<Kind> {
    let all = cases::all();
    let mut kinds = Vec::new();
    for name in MIX {
        let mut case = all.iter().find(|case| case.name == *name).unwrap().clone();
        if let Ends::Deadline = case.ends {
            case = case.with(LimitName::turn_deadline_ms, SHORT);
        }
        case =
            case.with(LimitName::output_bytes, LITTLE).with(LimitName::log_bytes_per_turn, LITTLE);
        // What is looked at is looked at where it runs alone.
        (case.look, case.leaves_nothing) = (None, false);
        let component = match case.ends {
            Ends::Refused(_) => None,
            _ => Some(bed.put(wasm(&case)).await.unwrap()),
        };
        kinds.push(Kind { case, component });
    }
    kinds
}

/// Runs some of the turns, and says which of them did not end as they had to.
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
                    Some(component) => bed.once(*component, input(case), case).await.1,
                    None => bed.turn(case, wasm(case), input(case)).await,
                };
                if !case.ends.are(&seen.end) {
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
