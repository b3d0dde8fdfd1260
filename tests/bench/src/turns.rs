//! Durable turns of many workers at once: each reads and writes one key of its state, emits one
//! event, and is answered after its commit.

use std::time::{Duration, Instant};

use skep_protocol::WorkerId;
use skep_runtime::Embedded;

use crate::Failure;
use crate::durable::{Live, ask, component, worker};
use crate::floor::Floor;
use crate::pairs::{First, Pairs};
use crate::table::{Amount, Row};

const WORKERS: usize = 200;
const PAIRS: usize = 9;
const WARM_UP: usize = 1;

/// The length of one half of a pair.
const HALF: Duration = Duration::from_secs(2);

/// The number of turns that the store's writer puts into one commit: 256 rows at 7 per turn.
const TURNS_PER_COMMIT: u64 = 36;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let folder = crate::tools::folder()?;
    let mut floor = Floor::create(folder.path(), WORKERS as u64)?;
    let live = Live::start()?;
    let runtime = live.runtime.clone();
    let mut crowd = live.run(async move {
        let counter = component(&runtime, "counter").await?;
        let mut crowd = Vec::new();
        for _ in 0..WORKERS {
            let worker = worker(&runtime, counter).await?;
            // Connects the worker.
            ask(&runtime, worker, "turn").await?;
            crowd.push((worker, 1));
        }
        Ok(crowd)
    })?;
    let mut pairs = Pairs::default();
    for pair in 0..WARM_UP + PAIRS {
        let ours = |crowd| {
            let runtime = live.runtime.clone();
            live.run(async move { our_turns(runtime, crowd).await })
        };
        let (our_time, their_time) = match First::of(pair) {
            First::Ours => {
                let (time, after) = ours(crowd)?;
                crowd = after;
                (time, their_turns(&mut floor)?)
            }
            First::Theirs => {
                let their_time = their_turns(&mut floor)?;
                let (time, after) = ours(crowd)?;
                crowd = after;
                (time, their_time)
            }
        };
        if pair >= WARM_UP {
            pairs.push(1, our_time, their_time);
        }
    }
    // 60 % of the baseline's rate, and 20,000 a second.
    let row = Row::beside(
        "durable turn, 200 workers at once",
        "bare SQLite, 36 per commit",
        pairs.summary(),
        1.0 / 0.6,
    );
    Ok(vec![row.at_most(Amount::Time(Duration::from_micros(50)))])
}

/// Returns the time per turn while all workers are busy, and the number of turns of each.
async fn our_turns(
    runtime: Embedded,
    crowd: Vec<(WorkerId, u64)>,
) -> Result<(Duration, Vec<(WorkerId, u64)>), Failure> {
    let before: u64 = crowd.iter().map(|(_, turns)| turns).sum();
    let began = Instant::now();
    let tasks: Vec<_> = crowd
        .into_iter()
        .map(|(worker, mut turns)| {
            let runtime = runtime.clone();
            tokio::spawn(async move {
                while began.elapsed() < HALF {
                    turns += 1;
                    let answer = ask(&runtime, worker, "turn").await?;
                    if answer != turns.to_string().as_bytes() {
                        return Err("a turn was lost or counted twice".into());
                    }
                }
                Ok::<_, Failure>((worker, turns))
            })
        })
        .collect();
    let mut crowd = Vec::new();
    for task in tasks {
        crowd.push(task.await??);
    }
    let took = began.elapsed();
    let after: u64 = crowd.iter().map(|(_, turns)| turns).sum();
    Ok((took.div_f64((after - before) as f64), crowd))
}

fn their_turns(floor: &mut Floor) -> Result<Duration, Failure> {
    let began = Instant::now();
    let mut turns = 0;
    while began.elapsed() < HALF {
        floor.commit(TURNS_PER_COMMIT)?;
        turns += TURNS_PER_COMMIT;
    }
    Ok(began.elapsed().div_f64(turns as f64))
}
