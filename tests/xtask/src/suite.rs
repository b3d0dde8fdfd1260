//! `cargo xtask test`: all that has to hold before a change is handed over, in the order in which
//! it is quickest to fail.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use crate::{Error, crash, fuzz, guests, hostile, packages, schema, tree};

type Step = (&'static str, fn(&'static str) -> Result<(), Error>);

const STEPS: &[Step] = &[
    ("format", |name| {
        cargo(name, &["fmt", "--all", "--check"])?;
        let manifests =
            guests::ARTIFACTS.iter().map(|guest| format!("{}/Cargo.toml", guest.source));
        let mut manifests = manifests.collect::<BTreeSet<_>>();
        manifests.insert("tests/fuzz/Cargo.toml".into());
        let each = |guest: &String| cargo(name, &["fmt", "--check", "--manifest-path", guest]);
        manifests.iter().try_for_each(each)
    }),
    ("lints", |name| {
        let lints = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
        cargo(name, &lints)
    }),
    ("guests", |_| guests::ensure().map(drop)),
    ("tests of guests", |_| guests::test()),
    ("packages", |_| packages::ALL.iter().try_for_each(|&one| packages::ensure(one).map(drop))),
    ("tests", |name| cargo(name, &["test", "--locked", "--workspace"])),
    ("hostile guests", |_| hostile::hostile(&[])),
    ("fuzz", |_| fuzz::fuzz(&fuzz::Campaign::short())),
    ("schema", |_| schema::schema(schema::EXAMPLES)),
    // A fixed seed, so that what fails here can be looked at again.
    ("crashes", |_| crash::crash(20, Some(1))),
];

/// Takes every step and prints each with its time. Stops at the first that fails.
///
/// # Errors
/// [`Error::Step`], or the step's own.
#[expect(clippy::print_stdout, reason = "a test runner's last line goes where tests print")]
pub fn test() -> Result<(), Error> {
    let began = Instant::now();
    for (name, step) in STEPS {
        println!("== {name}");
        let step_began = Instant::now();
        if let Err(error) = step(name) {
            println!("test result: FAILED. {name}, after {:.1} s", began.elapsed().as_secs_f32());
            return Err(error);
        }
        println!("== {name}: ok in {:.1} s", step_began.elapsed().as_secs_f32());
    }
    let seconds = began.elapsed().as_secs_f32();
    println!("test result: ok. {} steps passed; finished in {seconds:.1} s", STEPS.len());
    Ok(())
}

/// With this process's own streams: a failure is read where it happens.
fn cargo(name: &'static str, arguments: &[&str]) -> Result<(), Error> {
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(tree::root())
        .status()
        .map_err(|source| Error::NotStarted { what: name.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Step(name)) }
}
