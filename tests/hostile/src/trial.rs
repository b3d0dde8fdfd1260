//! What is asserted of every case, in a process of its own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skep_harness::Server;
use skep_protocol::LimitName;

use crate::asker::Asker;
use crate::bed::{Bed, run_request, wasm};
use crate::case::{Case, What};
use crate::seen::{Ends, Seen};
use crate::vitals::{self, Vitals};

/// How soon after a limit is passed its guest is gone.
const PROMISE: Duration = Duration::from_millis(250);

/// The longest that the neighbour may be held up. The machine has two cores and other things to do.
const HELD_UP: Duration = Duration::from_millis(1_500);

/// How soon bytes are refused: soon enough for whoever waits, and the rest to read as many. A compiler
/// has to have begun before its memory is full.
const REFUSAL: Duration = Duration::from_secs(1);
const REFUSAL_OF_A_MIB: Duration = Duration::from_millis(20);
const REFUSAL_BY_THE_COMPILER: Duration = Duration::from_secs(10);

/// Runs a case here, and says what came of it: `end`, `stopped_us`, `peak_bytes`, as `over_bytes`
/// how much of it was not there before, `problems` if
/// something is wrong, and what was `slow`, which may be the machine's fault.
pub(crate) fn run(case: &Case) -> Value {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Ten seconds otherwise, for which every case would wait whose files were looked at.
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
    // What the bytes were made of is not the host's.
    let wasm = (!matches!(case.what, What::Own(_))).then(|| wasm(case));
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
        problems.push(format!("the host had {over} MiB more than before, not {most} for {why}"));
    }
    if let Err(error) = bed.runtime().describe().await {
        problems.push(format!("the host does not answer: {error}"));
    }
    // It has to get on afterwards as well.
    tokio::time::sleep(Duration::from_millis(30)).await;
    let peace = neighbour.leave().await;
    if let Some(failure) = peace.failures.first() {
        problems
            .push(format!("{} of the neighbour's turns failed: {failure}", peace.failures.len()));
    }
    let mut slow = Vec::new();
    if seen.ran && case.ends.is_a_stop() && seen.stopped_in > case.approach + PROMISE {
        slow.push(format!("it was stopped after {:?} only", seen.stopped_in));
    }
    if case.ends.come_before_it_runs() && !seen.ran && seen.stopped_in > refusal {
        slow.push(format!("it was refused after {:?} only, not {refusal:?}", seen.stopped_in));
    }
    let least = 1 + took.as_millis() / HELD_UP.as_millis();
    if (peace.turns.len() as u128) < least || peace.slowest() > HELD_UP {
        slow.push(format!(
            "the neighbour was held up: {} turns in {took:?}, the slowest {:?}",
            peace.turns.len(),
            peace.slowest()
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
        "neighbour_p99_us": peace.percentile(0.99).as_micros() as u64,
        "problems": problems,
        "slow": slow,
    })
}

/// How soon it has to be refused.
fn refusal(case: &Case, wasm: Option<&[u8]>) -> Duration {
    let mib = wasm.map_or(0, |wasm| wasm.len().div_ceil(1 << 20));
    let least = match case.ends {
        Ends::Limit(LimitName::compile_memory_bytes) => REFUSAL_BY_THE_COMPILER,
        _ => REFUSAL,
    };
    least + REFUSAL_OF_A_MIB * u32::try_from(mib).unwrap()
}

fn problems(case: &Case, seen: &Seen) -> Vec<String> {
    if case.ends.are(&seen.end) {
        Vec::new()
    } else {
        vec![format!("it had to end with {:?}, and ended with {:?}", case.ends, seen.end)]
    }
}

/// What any host has done before long: each kind of worker, a file call, a removal, a request.
async fn warm_up(bed: &Bed) {
    for (guest, input) in
        [("hello", run_request(&[])), ("scribe", crate::bed::message("save warm up"))]
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
    asker.leave().await;
}
