//! The latency from a send to the event of its turn, while another worker emits as fast as it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, future};
use skep_protocol::{Cursor, EntryKind, EntryStream, Turns, WorkerId};
use skep_runtime::Embedded;

use crate::Failure;
use crate::durable::{Live, ask, component, worker};
use crate::pairs::{First, Pairs, percentile};
use crate::table::Row;

const PAIRS: usize = 8;
const WARM_UP: usize = 1;

/// Turns in one half of a pair. Their 99th percentile counts.
const TURNS: usize = 600;

/// Inputs queued ahead for the noisy worker, so that it is never idle.
const AHEAD: usize = 3;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let live = Live::start()?;
    let runtime = live.runtime.clone();
    let pairs = live.run(async move {
        let scribe = component(&runtime, "scribe").await?;
        let (noisy, other) = (worker(&runtime, scribe).await?, worker(&runtime, scribe).await?);
        ask(&runtime, noisy, "echo connected").await?;
        let mut reader = Reader::follow(&runtime, other).await?;
        let mut pairs = Pairs::default();
        for pair in 0..WARM_UP + PAIRS {
            let (with, without) = match First::of(pair) {
                First::Ours => {
                    let with = noise(&runtime, noisy, &mut reader).await?;
                    (with, reader.turns(&runtime).await?)
                }
                First::Theirs => {
                    let without = reader.turns(&runtime).await?;
                    (noise(&runtime, noisy, &mut reader).await?, without)
                }
            };
            if pair >= WARM_UP {
                pairs.push(1, with, without);
            }
        }
        Ok(pairs)
    })?;
    Ok(vec![Row::beside("send to event beside noise, p99", "in quiet", pairs.summary(), 3.0)])
}

/// Measures the reader while the other worker floods.
async fn noise(
    runtime: &Embedded,
    noisy: WorkerId,
    reader: &mut Reader,
) -> Result<Duration, Failure> {
    let over = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..AHEAD)
        .map(|_| {
            let (runtime, over) = (runtime.clone(), over.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    ask(&runtime, noisy, "emit-many 10000").await?;
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    let time = reader.turns(runtime).await;
    over.store(true, Ordering::SeqCst);
    for flood in floods {
        flood.await??;
    }
    time
}

/// A worker and a follower of its transcript.
struct Reader {
    worker: WorkerId,
    entries: EntryStream,
    last: Option<Cursor>,
    turns: usize,
}

impl Reader {
    async fn follow(runtime: &Embedded, worker: WorkerId) -> Result<Self, Failure> {
        let entries = runtime.subscribe(worker, None, None).await?;
        Ok(Self { worker, entries, last: None, turns: 0 })
    }

    /// Returns the 99th percentile of the turns.
    async fn turns(&mut self, runtime: &Embedded) -> Result<Duration, Failure> {
        let mut times = Vec::with_capacity(TURNS);
        for _ in 0..TURNS {
            self.turns += 1;
            let (worker, n) = (self.worker, self.turns.to_string());
            let began = Instant::now();
            let command = format!("emit tick {n}");
            let (seen, answered) =
                future::join(self.until(n.as_bytes()), ask(runtime, worker, &command)).await;
            answered?;
            times.push(seen?.duration_since(began));
        }
        Ok(percentile(&times, 99))
    }

    /// Returns the time at which the event with this body arrived. Fails if an entry before it is
    /// missing.
    async fn until(&mut self, body: &[u8]) -> Result<Instant, Failure> {
        while let Some(entry) = self.entries.next().await {
            let entry = entry?;
            if let Some(last) = self.last
                && entry.seq.0 != last.0 + 1
            {
                return Err(format!("{} follows {last}", entry.seq).into());
            }
            self.last = Some(entry.seq);
            if entry.kind == EntryKind::Event && entry.payload.body == body {
                return Ok(Instant::now());
            }
        }
        Err("the stream ended".into())
    }
}
