//! Runs a component once, with one directory and three limits: `embed-sandbox COMPONENT DIRECTORY`.

#![expect(clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_protocol::{Limits, Rights};
use skep_sandbox::stdio::GuestOutput;
use skep_sandbox::{
    ChildCompiler, GuestSpec, Mount, NoTurn, Profile, Sandbox, SandboxParts, child_main,
};
use skep_scope::{Disk, Quota, Scope};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    // Untrusted bytes are compiled by a child process behind the second wall: this program again.
    if args.get(1).is_some_and(|word| word == "compile") {
        std::process::exit(child_main(&args[2..]));
    }
    let [_, component, directory] = &args[..] else { return Err("two arguments, please".into()) };
    let compiler = ChildCompiler::new(std::env::current_exe()?, vec!["compile".into()], 1);
    let sandbox = Sandbox::start(SandboxParts::new(Arc::new(compiler)))?;
    let (loaded, _) = sandbox.load(&std::fs::read(component)?, Profile::Default)?;

    let dir = Dir::open_ambient_dir(directory, ambient_authority())?;
    let disk = Disk::new(Quota { bytes: 1 << 20, entries: 100 });
    let scope = Scope::new(dir, Rights::ReadOnly, disk);
    let memory_bytes = 64 << 20;
    let limits =
        Limits { memory_bytes, turn_deadline_ms: 1_000, open_descriptors: 16, ..Limits::default() };
    let stdout = GuestOutput::captured(64 << 10);
    let spec = GuestSpec {
        args: vec!["guest".into()],
        stdout: stdout.clone(),
        mounts: vec![Mount { guest: "/data".into(), scope }],
        limits,
        ..GuestSpec::default()
    };
    let host = tokio::runtime::Runtime::new()?;
    let ended = host.block_on(async {
        match sandbox.connect(&loaded, spec, Box::new(NoTurn::default()), Arc::default()).await {
            Ok(mut instance) => instance.run().await.0,
            Err(done) => done.ended,
        }
    });
    println!("{}{ended:?}", String::from_utf8_lossy(&stdout.contents()));
    Ok(())
}
