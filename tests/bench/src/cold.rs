//! A cold run of `hello`: instantiate, run, read the output, drop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_sandbox::stdio::GuestOutput;
use skep_sandbox::{Ended, GuestSpec, KillSwitch, Loaded, NoTurn, Sandbox};

use crate::Failure;
use crate::pairs::{First, Pairs};
use crate::plain::{Command, Plain};
use crate::table::Row;
use crate::tools::{guest, sandbox};

const PAIRS: usize = 400;
const BATCH: u32 = 25;
const WARM_UP: usize = 20;

/// The bound on the output kept, in bytes.
const ROOM: usize = 64 << 10;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let wasm = std::fs::read(guest("hello")?)?;
    let (sandbox, loaded) = sandbox(&wasm)?;
    let plain = Plain::start()?.command(&wasm)?;
    let ours = Ours { sandbox: sandbox.clone(), loaded };
    let handle = sandbox.guests().clone();
    let pairs = handle.block_on(handle.spawn(compare(ours, plain)))??;
    Ok(vec![Row::beside("cold run of hello", "wasmtime embedded", pairs.summary(), 1.3)])
}

struct Ours {
    sandbox: Sandbox,
    loaded: Arc<Loaded>,
}

async fn compare(ours: Ours, theirs: Command) -> Result<Pairs, Failure> {
    let args: Vec<String> = ["hello", "a", "b"].map(str::to_owned).to_vec();
    let (said, said_plainly) = (ours.run(&args).await?, theirs.run(&args, ROOM).await?);
    if said != said_plainly || said.is_empty() {
        return Err("the two sides do not print the same".into());
    }
    let mut pairs = Pairs::default();
    for pair in 0..WARM_UP + PAIRS {
        let (our_time, their_time) = match First::of(pair) {
            First::Ours => (ours.time(&args).await?, time(&theirs, &args).await?),
            First::Theirs => {
                let their_time = time(&theirs, &args).await?;
                (ours.time(&args).await?, their_time)
            }
        };
        if pair >= WARM_UP {
            pairs.push(BATCH, our_time, their_time);
        }
    }
    Ok(pairs)
}

impl Ours {
    async fn time(&self, args: &[String]) -> Result<Duration, Failure> {
        let began = Instant::now();
        for _ in 0..BATCH {
            self.run(args).await?;
        }
        Ok(began.elapsed())
    }

    async fn run(&self, args: &[String]) -> Result<Vec<u8>, Failure> {
        let stdout = GuestOutput::captured(ROOM);
        let spec = GuestSpec {
            args: args.to_vec(),
            stdout: stdout.clone(),
            stderr: GuestOutput::captured(ROOM),
            ..GuestSpec::default()
        };
        let kill = Arc::new(KillSwitch::default());
        let turn = Box::new(NoTurn::default());
        let mut instance = self
            .sandbox
            .connect(&self.loaded, spec, turn, kill)
            .await
            .map_err(|ended| format!("hello did not start: {ended:?}"))?;
        let (ended, _) = instance.run().await;
        match ended {
            Ended::Exited(0) => Ok(stdout.contents()),
            ended => Err(format!("hello ended otherwise: {ended:?}").into()),
        }
    }
}

async fn time(theirs: &Command, args: &[String]) -> Result<Duration, Failure> {
    let began = Instant::now();
    for _ in 0..BATCH {
        theirs.run(args, ROOM).await?;
    }
    Ok(began.elapsed())
}
