//! Steps on a runtime, beside workers that do the same through its API.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use skep_client::{Client, Endpoint, Prefix, Token};
use skep_protocol::{
    Artifacts, ComponentDigest, CreateWorker, Error, Files, ListFiles, NewInput, Payload, Role,
    RunRequest, RuntimeId, Turns, WorkerSpec, Workers,
};

use super::Bench;
use super::hellos::{STEPS, hundred_hellos};
use crate::Failure;
use crate::host::Host;
use crate::pairs::{First, Pairs};
use crate::table::Row;
use crate::tools::guest;

const PAIRS: usize = 10;

/// Steps or workers at a time.
const JOBS: usize = 2;

pub(super) fn measure(program: &Path) -> Result<Row, Failure> {
    let bench = Bench::new(program)?;
    hundred_hellos(&bench)?;
    let folder = crate::tools::folder()?;
    let host = Host::start(&folder.path().join("host"), "hello", 0, &[])?;
    let token = host.token_file.to_str().ok_or("the folder is not UTF-8")?;
    let flags = ["--no-cache", "--host", host.served.url.as_str(), "--token-file", token];
    let threads =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = client(&host, token)?;
    let component = threads.block_on(component(&client))?;
    let mut pairs = Pairs::default();
    // The first pair compiles.
    for pair in 0..=PAIRS {
        let theirs = || threads.block_on(workers(&client, component));
        let (our_time, their_time) = First::of(pair).both(|| bench.pipeline(&flags), theirs)?;
        if pair > 0 {
            pairs.push(STEPS as u32, our_time, their_time);
        }
    }
    let beside = "create, run, list, remove";
    Ok(Row::beside("step of skep ci on a runtime", beside, pairs.summary(), 1.5))
}

fn client(host: &Host, token: &str) -> Result<Client, Failure> {
    let runtime: RuntimeId = host.runtime.parse()?;
    Ok(Client::new(Endpoint {
        url: host.served.url.parse()?,
        token: Token::File(token.into()),
        ca: None,
        insecure: false,
        prefix: Prefix::Runtime(runtime),
    })?)
}

async fn component(client: &Client) -> Result<ComponentDigest, Failure> {
    let wasm = std::fs::read(guest("hello")?)?;
    let wasm = stream::iter([Ok::<_, Error>(wasm.into())]).boxed();
    Ok(client.put_component(wasm, Role::Admin).await?.item.digest)
}

/// Times a hundred workers that each run once.
async fn workers(client: &Client, component: ComponentDigest) -> Result<Duration, Failure> {
    let began = Instant::now();
    let each = (0..STEPS).map(|at| worker(client, component, at));
    stream::iter(each).buffer_unordered(JOBS).try_collect::<()>().await?;
    Ok(began.elapsed())
}

async fn worker(client: &Client, component: ComponentDigest, at: usize) -> Result<(), Error> {
    let spec = WorkerSpec::new(component);
    let worker = client.create(CreateWorker { worker_id: None, spec }).await?.item.worker_id;
    let request = RunRequest { args: vec![at.to_string()], ..RunRequest::default() };
    let body = serde_json::to_vec(&request).map_err(|_| Error::Internal)?;
    let payload = Payload { content_type: "application/json".into(), body: body.into() };
    let wait = Some(Duration::from_secs(30));
    client.send(worker, NewInput { payload, key: None, wait, sender: None }).await?;
    client.files(worker, ListFiles::default()).await?;
    client.remove(worker).await
}
