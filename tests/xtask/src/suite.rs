//! `cargo xtask test`: all that has to hold before a change is handed over, in the order in which
//! it is quickest to fail. A step that fails keeps none from being taken but those that need it.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use crate::steps::{End, Ends, Step};
use crate::{Error, crash, fuzz, guests, hostile, packages, schema, tree};

const STEPS: &[Step] = &[
    Step {
        name: "format",
        needs: &[],
        take: |name| {
            cargo(name, &["fmt", "--all", "--check"])?;
            let manifests =
                guests::ARTIFACTS.iter().map(|guest| format!("{}/Cargo.toml", guest.source));
            let mut manifests = manifests.collect::<BTreeSet<_>>();
            manifests.insert("tests/fuzz/Cargo.toml".into());
            let each = |guest: &String| cargo(name, &["fmt", "--check", "--manifest-path", guest]);
            manifests.iter().try_for_each(each)
        },
    },
    Step {
        name: "lints",
        needs: &[],
        take: |name| {
            let lints = ["--workspace", "--all-targets", "--", "-D", "warnings"];
            cargo(name, &[&["clippy", "--locked"][..], &lints].concat())
        },
    },
    Step { name: GUESTS, needs: &[], take: |_| guests::ensure().map(drop) },
    Step { name: "tests of guests", needs: &[], take: |_| guests::test() },
    Step {
        name: "packages",
        needs: &[],
        take: |_| packages::ALL.iter().try_for_each(|&one| packages::ensure(one).map(drop)),
    },
    Step {
        name: "tests",
        needs: &[GUESTS],
        take: |name| cargo(name, &["test", "--locked", "--workspace", "--no-fail-fast"]),
    },
    Step { name: "hostile guests", needs: &[GUESTS], take: |_| hostile::hostile(&[]) },
    Step { name: "fuzz", needs: &[], take: |_| fuzz::fuzz(&fuzz::Campaign::short()) },
    Step { name: "schema", needs: &[], take: |_| schema::schema(schema::EXAMPLES) },
    // A fixed seed, so that what fails here can be looked at again.
    Step { name: "crashes", needs: &[GUESTS], take: |_| crash::crash(20, Some(1)) },
];

/// Without guests, nearly every test of the built program would fail.
const GUESTS: &str = "guests";

/// Takes every step, prints each with its time, and at the end all that did not pass. Says whether
/// all did.
#[expect(clippy::print_stdout, reason = "a test runner's last line goes where tests print")]
pub fn test() -> bool {
    let began = Instant::now();
    let ends = Ends::of(STEPS, take);
    println!("{ends}; finished in {:.1} s", began.elapsed().as_secs_f32());
    ends.all_passed()
}

#[expect(clippy::print_stdout, reason = "it is beside what the tests print")]
fn take(step: &Step) -> End {
    println!("== {}", step.name);
    let began = Instant::now();
    let end = (step.take)(step.name);
    let seconds = began.elapsed().as_secs_f32();
    match end {
        Ok(()) => {
            println!("== {}: ok in {seconds:.1} s", step.name);
            End::Passed
        }
        Err(error) => {
            error.show();
            println!("== {}: FAILED after {seconds:.1} s", step.name);
            End::Failed(error)
        }
    }
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
