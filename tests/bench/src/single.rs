//! One worker's durable turn, from the send to the answer, without other load.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::durable::{Live, ask, component, worker};
use crate::floor::Floor;
use crate::pairs::{First, Pairs};
use crate::table::Row;

const PAIRS: usize = 1_000;
const WARM_UP: usize = 50;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let folder = crate::tools::folder()?;
    let mut floor = Floor::create(folder.path(), 1)?;
    let live = Live::start()?;
    let runtime = live.runtime.clone();
    let pairs = live.run(async move {
        let counter = component(&runtime, "counter").await?;
        let worker = worker(&runtime, counter).await?;
        let ours = async || -> Result<Duration, Failure> {
            let began = Instant::now();
            ask(&runtime, worker, "turn").await?;
            Ok(began.elapsed())
        };
        let mut theirs = || -> Result<Duration, Failure> {
            let began = Instant::now();
            floor.commit_row()?;
            Ok(began.elapsed())
        };
        let mut pairs = Pairs::default();
        for pair in 0..WARM_UP + PAIRS {
            let (our_time, their_time) = match First::of(pair) {
                First::Ours => (ours().await?, theirs()?),
                First::Theirs => {
                    let their_time = theirs()?;
                    (ours().await?, their_time)
                }
            };
            if pair >= WARM_UP {
                pairs.push(1, our_time, their_time);
            }
        }
        Ok(pairs)
    })?;
    Ok(vec![Row::beside("durable turn, one worker", "bare SQLite, one row", pairs.summary(), 2.0)])
}
