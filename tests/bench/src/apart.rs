//! An out-of-process run of a command, compared with one in the host's process.

use std::time::{Duration, Instant};

use skep_protocol::{Ending, NewInput, Payload, Sent, Turns, WorkerId};
use skep_runtime::Embedded;
use skep_sandbox::{Isolation, OutOfProcess};

use crate::Failure;
use crate::durable::{Live, component, worker};
use crate::pairs::{First, Pairs};
use crate::table::{Amount, Row};
use crate::tools::skep;

const PAIRS: usize = 100;
const WARM_UP: usize = 5;

/// The time after which a run counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let out_of_process = OutOfProcess::new(skep()?, vec!["__run".into()], Isolation::Process);
    let (apart, within) = (Live::start_with(Some(out_of_process))?, Live::start()?);
    let (ours, theirs) = (hello(&apart)?, hello(&within)?);
    let mut pairs = Pairs::default();
    for pair in 0..WARM_UP + PAIRS {
        let (our_time, their_time) =
            First::of(pair).both(|| time(&apart, ours), || time(&within, theirs))?;
        if pair >= WARM_UP {
            pairs.push(1, our_time, their_time);
        }
    }
    // The cost of a process buys isolation; it only has to be small compared with what programs do.
    let row =
        Row::beside("run of hello, out of process", "within the host", pairs.summary(), 100.0);
    Ok(vec![row.at_most(Amount::Time(Duration::from_millis(25)))])
}

fn hello(live: &Live) -> Result<WorkerId, Failure> {
    let runtime = live.runtime.clone();
    live.run(async move {
        let hello = component(&runtime, "hello").await?;
        worker(&runtime, hello).await
    })
}

fn time(live: &Live, worker: WorkerId) -> Result<Duration, Failure> {
    let runtime = live.runtime.clone();
    live.run(async move {
        let began = Instant::now();
        run(&runtime, worker).await?;
        Ok(began.elapsed())
    })
}

async fn run(runtime: &Embedded, worker: WorkerId) -> Result<(), Failure> {
    let payload = Payload {
        content_type: "application/json".into(),
        body: br#"{"args":["a"]}"#.to_vec().into(),
    };
    let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
    match runtime.send(worker, input).await? {
        Sent::Done { outcome, .. } if outcome.ending == Ending::Completed => Ok(()),
        other => Err(format!("hello ended otherwise: {other:?}").into()),
    }
}
