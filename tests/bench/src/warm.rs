//! A call of a live service that answers with its input of 256 bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_protocol::Payload;
use skep_sandbox::{Ended, GuestSpec, Instance, KillSwitch, Loaded, NoTurn, Sandbox};

use crate::Failure;
use crate::pairs::{First, Pairs};
use crate::plain::{LiveService, Plain};
use crate::table::{Amount, Row};
use crate::tools::{guest, sandbox};

const PAIRS: usize = 1_000;
const BATCH: u32 = 250;
const WARM_UP: usize = 20;

const BODY: [u8; 256] = [b'x'; 256];
const TYPE: &str = "application/octet-stream";

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let wasm = std::fs::read(guest("echo")?)?;
    let (sandbox, loaded) = sandbox(&wasm)?;
    let handle = sandbox.guests().clone();
    let pairs = handle.block_on(handle.spawn(compare(sandbox.clone(), loaded, wasm)))??;
    Ok(vec![
        Row::beside("warm call, 256 B in and out", "wasmtime embedded", pairs.summary(), 1.25)
            .at_most(Amount::Time(Duration::from_micros(5))),
    ])
}

async fn compare(sandbox: Sandbox, loaded: Arc<Loaded>, wasm: Vec<u8>) -> Result<Pairs, Failure> {
    let spec = GuestSpec::default();
    let turn = Box::new(NoTurn::default());
    let mut ours = sandbox
        .connect(&loaded, spec, turn, Arc::new(KillSwitch::default()))
        .await
        .map_err(|ended| format!("echo did not start: {ended:?}"))?;
    let plain = Plain::start()?;
    let mut theirs = plain.service(&wasm).await?;
    let mut pairs = Pairs::default();
    for pair in 0..WARM_UP + PAIRS {
        let (our_time, their_time) = match First::of(pair) {
            First::Ours => (our_calls(&mut ours).await?, their_calls(&mut theirs).await?),
            First::Theirs => {
                let their_time = their_calls(&mut theirs).await?;
                (our_calls(&mut ours).await?, their_time)
            }
        };
        if pair >= WARM_UP {
            pairs.push(BATCH, our_time, their_time);
        }
    }
    Ok(pairs)
}

async fn our_calls(ours: &mut Instance) -> Result<Duration, Failure> {
    let began = Instant::now();
    for _ in 0..BATCH {
        let input = Payload { content_type: TYPE.to_owned(), body: BODY.to_vec().into() };
        match ours.call(input).await {
            (Ended::Answered(output), _) if output.body[..] == BODY[..] => {}
            (ended, _) => return Err(format!("echo ended otherwise: {ended:?}").into()),
        }
    }
    Ok(began.elapsed())
}

async fn their_calls(theirs: &mut LiveService) -> Result<Duration, Failure> {
    let began = Instant::now();
    for _ in 0..BATCH {
        if theirs.call(TYPE.to_owned(), BODY.to_vec()).await? != BODY {
            return Err("echo answered otherwise".into());
        }
    }
    Ok(began.elapsed())
}
