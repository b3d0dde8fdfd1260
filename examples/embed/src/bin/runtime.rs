//! Opens a durable runtime and sends a worker an input: `embed-runtime STORE COMPONENT TEXT`. The
//! worker and its state are there again at the next run.

#![expect(clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::stream;
use skep_protocol::{
    Artifacts, CreateWorker, NewInput, Payload, Role, Timestamp, Turns, WorkerSpec, Workers,
};
use skep_runtime::{Embedded, EmbeddedParts};
use skep_sandbox::{ChildCompiler, Sandbox, SandboxParts, child_main};
use skep_store::{Store, StoreParts};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    // The compiler is this program again. It limits its address space, so no thread has started yet.
    if args.get(1).is_some_and(|word| word == "compile") {
        std::process::exit(child_main(&args[2..]));
    }
    tokio::runtime::Runtime::new()?.block_on(send(&args))
}

async fn send(args: &[String]) -> Result<(), Box<dyn Error>> {
    let [_, directory, component, text] = args else { return Err("three arguments".into()) };
    let compiler = ChildCompiler::new(std::env::current_exe()?, vec!["compile".into()], 1);
    let sandbox = Sandbox::start(SandboxParts::new(Arc::new(compiler)))?;
    let now = Timestamp::since_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?);
    let dir = Dir::open_ambient_dir(directory, ambient_authority())?;
    let store = Store::open(StoreParts::new(dir, now, "example".parse()?))?;
    let runtime = Embedded::open(EmbeddedParts::new(store, sandbox, "example-host".parse()?))?;

    let wasm = std::fs::read(component)?;
    let wasm = Box::pin(stream::once(async { Ok(wasm.into()) }));
    let component = runtime.put_component(wasm, Role::Admin).await?.item.digest;
    let spec = WorkerSpec::new(component);
    // The same id with the same spec is the same worker, today and tomorrow.
    let worker_id = Some("01890a5d-ac96-774b-bcce-b302099a8057".parse()?);
    let worker = runtime.create(CreateWorker { worker_id, spec }).await?.item.worker_id;
    let payload = Payload { content_type: "text/plain".into(), body: text.clone().into() };
    let wait = Some(Duration::from_secs(30));
    let sent = runtime.send(worker, NewInput { payload, key: None, wait, sender: None }).await?;
    println!("{sent:?}");
    runtime.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
