//! The process that is killed: a runtime and its callers.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use skep_protocol::{Cursor, Desired, Turns};
use skep_runtime::Embedded;
use skep_store::{Faults, NoFaults, Store};

use crate::Tools;
use crate::actor::Actor;
use crate::chance::Chance;
use crate::client::{Client, Own};
use crate::doom::Deadly;
use crate::line::{BuildKind, Line, Request, digest};
use crate::place;
use crate::plan::Plan;
use crate::settle;
use crate::wasm::{self, SPARE, Wasm};

/// The number of callers, each with workers of its own.
const CLIENTS: usize = 10;

/// The number of transcript followers.
const SUBSCRIBERS: usize = 4;

/// Runs the load until it is killed. Returns only if something cannot be started.
pub(crate) fn child(dir: &Path, tools: &Tools) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
        std::process::abort();
    }));
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let plan: Plan = serde_json::from_reader(io::stdin()).unwrap();
    let faults: Arc<dyn Faults> = match plan.point.clone() {
        Some((point, nth)) => Arc::new(Deadly::new(point, nth)),
        None => Arc::new(NoFaults),
    };
    let wasm = Arc::new(Wasm::read(&tools.guests));
    let sandbox = place::sandbox(&tools.cache);
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let failed: Result<(), Box<dyn std::error::Error>> = tokio.block_on(async {
        let store = place::store(dir, faults)?;
        let runtime = place::runtime(store.clone(), sandbox)?;
        say(&Line::Opened);
        live(plan, store, runtime, wasm).await;
        Ok(())
    });
    eprintln!(" ERROR the child ended by itself: {failed:?}");
    ExitCode::FAILURE
}

/// Writes a line in one write, which is atomic for a pipe.
fn say(line: &Line) {
    let mut text = serde_json::to_vec(line).unwrap();
    text.push(b'\n');
    assert!(text.len() <= 4_096, "a longer line is not atomic");
    // Bypasses the buffer of `stdout`, which could split a line.
    assert_eq!(rustix::io::write(io::stdout(), &text).unwrap(), text.len());
}

async fn live(plan: Plan, store: Store, runtime: Embedded, wasm: Arc<Wasm>) {
    let mut chance = Chance::new(plan.seed);
    let actor = Actor::new(runtime, wasm, Arc::new(|line: Line| say(&line)));
    for variant in Wasm::used() {
        actor.ask(BuildKind::Tally, Request::PutComponent(variant)).await;
    }
    for version in 0..wasm::VERSIONS {
        actor.ask(BuildKind::Tally, Request::PutConfig(version)).await;
    }
    let point = plan.point.as_ref().map_or("", |(point, _)| point.as_str());
    let restless = point.starts_with("remove.") || point.starts_with("directory.");
    let mut owned: Vec<Vec<Own>> = vec![Vec::new(); CLIENTS];
    for own in find(&actor).await {
        owned[chance.index(CLIENTS)].push(own);
    }
    let all: Vec<Own> = owned.iter().flatten().copied().collect();
    for (number, own) in owned.into_iter().enumerate() {
        let is_own = |retry: &&crate::plan::Retry| own.iter().any(|own| own.id == retry.worker);
        let client = Client {
            actor: actor.clone(),
            chance: chance.fork(number as u64),
            prefix: format!("g{}c{number}", plan.generation),
            retries: plan.retries.iter().filter(is_own).cloned().collect(),
            own,
            restless,
            orders: 0,
        };
        tokio::spawn(client.run());
    }
    // A trimmed part cannot be compared, so followers of short transcripts would find little.
    let whole = |own: &Own| own.build.kind != BuildKind::ShortTally;
    let all: Vec<Own> = all.into_iter().filter(whole).collect();
    for own in chance.some_of(&all, SUBSCRIBERS) {
        let from_start = chance.percent(30);
        tokio::spawn(follow(actor.clone(), own, from_start));
    }
    tokio::spawn(spares(actor.clone(), chance.fork(99)));
    std::thread::spawn(move || {
        while store.janitor_step().is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    std::future::pending::<()>().await;
}

/// Lists the existing workers.
async fn find(actor: &Actor) -> Vec<Own> {
    let listed = settle::list(&actor.runtime).await.unwrap();
    let own = listed.into_values().map(|view| {
        let short = !view.spec.limits.0.is_empty();
        let kind = match (view.kind, short) {
            (skep_protocol::ComponentKind::Command, _) => BuildKind::Command,
            (_, true) => BuildKind::ShortTally,
            (_, false) => BuildKind::Tally,
        };
        // The version of the creation does not matter for an existing worker.
        let build = crate::line::Build { kind, version: 0 };
        Own { id: view.worker_id, build, stopped: view.desired == Desired::Stopped }
    });
    own.collect()
}

/// Reports what a subscriber sees.
async fn follow(actor: Actor, own: Own, from_start: bool) {
    let number = actor.number();
    let after = if from_start { Some(Cursor(0)) } else { None };
    let Ok(mut entries) = actor.runtime.subscribe(own.id, after, None).await else { return };
    while let Some(entry) = entries.next().await {
        let Ok(entry) = entry else { return };
        actor.tell(Line::Saw(number, own.id, entry.seq.0, digest(&entry)));
    }
}

/// Stores and removes components that no worker uses.
async fn spares(actor: Actor, mut chance: Chance) {
    loop {
        let variant = SPARE[chance.index(SPARE.len())];
        actor.ask(BuildKind::Tally, Request::PutComponent(variant)).await;
        tokio::time::sleep(Duration::from_millis(chance.below(8))).await;
        actor.ask(BuildKind::Tally, Request::RemoveComponent(variant)).await;
        tokio::time::sleep(Duration::from_millis(chance.below(8))).await;
    }
}
