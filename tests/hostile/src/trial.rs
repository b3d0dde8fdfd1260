//! The assertions on every case, made in the case's own process.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skep_harness::Server;
use skep_protocol::LimitName;

use crate::asker::Asker;
use crate::attack::Attack;
use crate::bed::Bed;
use crate::case::Case;
use crate::expected::Expected;
use crate::guest::run_request;
use crate::seen::Seen;
use crate::vitals::{self, Vitals};

/// The bound on the time from exceeding a limit to the end of the guest.
const PROMISE: Duration = Duration::from_millis(250);

/// The bound on the neighbour's delay. The machine has two cores and other work.
const HELD_UP: Duration = Duration::from_millis(1_500);

/// The bounds on the time of a refusal: a base, an addition per MiB to read, and the time for a
/// compiler to start and fill its memory.
const REFUSAL: Duration = Duration::from_secs(1);
const REFUSAL_OF_A_MIB: Duration = Duration::from_millis(20);
const REFUSAL_BY_THE_COMPILER: Duration = Duration::from_secs(10);

/// Runs a case here and reports `end`, `stopped_us`, `peak_bytes`, `over_bytes` (the part of the
/// peak above the level before), `problems` (a list of failures) and `slow` (a list of delays that
/// may be the machine's fault).
pub(crate) fn run(case: &Case) -> Value {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // The default of ten seconds would delay every case that uses files.
        .thread_keep_alive(Duration::from_millis(300))
        .enable_all()
        .build()
        .unwrap();
    let told = threads.block_on(told(case));
    threads.shutdown_timeout(Duration::from_millis(100));
    told
}

async fn told(case: &Case) -> Value {
    let bed = Bed::open(&case.host_limits, case.isolation);
    let neighbour = bed.neighbour().await;
    warm_up(&bed).await;
    let before = Vitals::now();
    // Generating the bytes is not part of the measurement.
    let wasm = (!matches!(case.attack, Attack::Own(_))).then(|| case.wasm());
    let refusal = refusal(case, wasm.as_deref());
    let level = vitals::reset_peak();
    let began = Instant::now();

    let seen = bed.run(case, wasm).await;

    let took = began.elapsed();
    let peak_bytes = vitals::peak_bytes();
    let over_bytes = peak_bytes.saturating_sub(level);
    let mut problems = problems(case, &seen);
    let (most_bytes, why) = case.peak;
    if over_bytes > most_bytes {
        let (over, most) = (over_bytes >> 20, most_bytes >> 20);
        problems.push(format!("the host grew by {over} MiB; allowed are {most} MiB ({why})"));
    }
    if let Err(error) = bed.runtime().describe().await {
        problems.push(format!("the host does not answer: {error}"));
    }
    // The neighbour must make progress afterwards as well.
    tokio::time::sleep(Duration::from_millis(30)).await;
    let report = neighbour.stop().await;
    if let Some(failure) = report.failures.first() {
        problems
            .push(format!("{} of the neighbour's turns failed: {failure}", report.failures.len()));
    }
    let mut slow = Vec::new();
    if seen.ran && case.expected.is_stop() && seen.stopped_in > case.approach + PROMISE {
        slow.push(format!("stopped only after {:?}", seen.stopped_in));
    }
    if case.expected.is_before_run() && !seen.ran && seen.stopped_in > refusal {
        slow.push(format!("refused only after {:?}, not within {refusal:?}", seen.stopped_in));
    }
    let least = 1 + took.as_millis() / HELD_UP.as_millis();
    if (report.turns.len() as u128) < least || report.slowest() > HELD_UP {
        slow.push(format!(
            "the neighbour was held up: {} turns in {took:?}, the slowest {:?}",
            report.turns.len(),
            report.slowest()
        ));
    }
    if case.holds.is_none()
        && let Err(what) = before.restored()
    {
        problems.push(what);
    }
    bed.close().await;
    json!({
        "end": seen.end.to_string(),
        "stopped_us": seen.stopped_in.as_micros() as u64,
        "peak_bytes": peak_bytes,
        "over_bytes": over_bytes,
        "neighbour_p99_us": report.percentile(0.99).as_micros() as u64,
        "problems": problems,
        "slow": slow,
    })
}

/// Returns the bound on the time of the refusal.
fn refusal(case: &Case, wasm: Option<&[u8]>) -> Duration {
    let mib = wasm.map_or(0, |wasm| wasm.len().div_ceil(1 << 20));
    let least = match case.expected {
        Expected::Limit(LimitName::compile_memory_bytes) => REFUSAL_BY_THE_COMPILER,
        _ => REFUSAL,
    };
    least + REFUSAL_OF_A_MIB * u32::try_from(mib).unwrap()
}

fn problems(case: &Case, seen: &Seen) -> Vec<String> {
    if case.expected.matches(&seen.end) {
        Vec::new()
    } else {
        vec![format!("expected the end {:?}, got {:?}", case.expected, seen.end)]
    }
}

/// Does what any host has done before long: each kind of worker, a file call, a removal, a request.
async fn warm_up(bed: &Bed) {
    for (guest, input) in
        [("hello", run_request(&[])), ("scribe", crate::guest::message("save warm up"))]
    {
        let worker = bed.good_worker(guest).await;
        let input = skep_protocol::NewInput {
            payload: input,
            key: None,
            wait: Some(Duration::from_secs(60)),
            sender: None,
        };
        let sent = bed.runtime().send(worker, input).await.unwrap();
        assert!(
            matches!(&sent, skep_protocol::Sent::Done { outcome, .. }
                if outcome.ending == skep_protocol::Ending::Completed),
            "{sent:?}"
        );
        bed.runtime().remove(worker).await.unwrap();
    }
    let server = Server::start();
    let asker = Asker::with(bed, &[&server.url("")], &[]).await;
    let answer = asker.ask(&format!("get {}", server.url("/hello"))).await;
    assert!(answer.starts_with("status 200"), "{answer}");
    asker.remove().await;
}
