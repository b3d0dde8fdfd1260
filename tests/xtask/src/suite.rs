//! `cargo xtask test` and `cargo xtask check`: the steps that must pass before a change is handed
//! over, the fastest first. A failed step only prevents the steps that need it.
//!
//! Doc tests run in `tests`; those of the guest SDK run in `guest-tests`.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use crate::steps::{End, Ends, Step};
use crate::{
    Error, authors, browser, console, counts, crash, fuzz, guests, hostile, packages, schema, tree,
};

const FORMAT: Step = Step {
    name: "format",
    about: "check the formatting of the tree and of the guests",
    minutes: 0,
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
};

const LINTS: Step = Step {
    name: "lints",
    about: "run clippy on every target",
    minutes: 2,
    needs: &[],
    take: |name| {
        let lints = ["--workspace", "--all-targets", "--", "-D", "warnings"];
        cargo(name, &[&["clippy", "--locked"][..], &lints].concat())
    },
};

const DOCS: Step = Step {
    name: "docs",
    about: "build the API documentation without warnings",
    minutes: 1,
    needs: &[],
    take: |name| {
        let mut doc = Command::new("cargo");
        doc.args(["doc", "--locked", "--workspace", "--no-deps"]);
        run(name, doc.env("RUSTDOCFLAGS", "-D warnings"))
    },
};

const UNIT: Step = Step {
    name: "unit",
    about: "run the unit tests of the libraries and of the `skep` binary",
    minutes: 2,
    needs: &[],
    take: |name| cargo(name, &["test", "--locked", "--workspace", "--lib", "--bin", "skep"]),
};

const TIDY: Step = Step {
    name: "tidy",
    about: "run the house rules of tests/xtask/tests, without the commands of the docs",
    minutes: 0,
    needs: &[],
    take: |name| {
        let tests = tree::sources(&tree::root().join("tests/xtask/tests"))?;
        let names = tests.iter().filter_map(|file| file.file_stem()?.to_str());
        // It runs every command of the docs, which takes minutes; `tests` has it.
        let names = names.filter(|name| *name != "docs").flat_map(|name| ["--test", name]);
        let arguments = ["test", "--locked", "--workspace", "--no-fail-fast"];
        cargo(name, &arguments.into_iter().chain(names).collect::<Vec<_>>())
    },
};

/// Without guests, nearly every test of the built program would fail.
const GUESTS: Step = Step {
    name: "guests",
    about: "build the guests whose sources changed",
    minutes: 0,
    needs: &[],
    take: |_| guests::ensure().map(drop),
};

/// Before the steps that build `skep`, which embeds it.
const CONSOLE: Step = Step {
    name: "console",
    about: "check and build the console, as `cargo xtask console`, on Node.js 18 too",
    minutes: 0,
    needs: &[],
    take: |_| {
        console::on_oldest_node()?;
        console::ensure().map(drop)
    },
};

/// The steps of `cargo xtask test`.
const TEST: &[Step] = &[
    FORMAT,
    CONSOLE,
    LINTS,
    DOCS,
    GUESTS,
    Step {
        name: "guest-tests",
        about: "run the guests' own tests natively",
        minutes: 1,
        needs: &[],
        take: |_| guests::test(),
    },
    Step {
        name: "packages",
        about: "fetch the third-party programs that tests run",
        minutes: 0,
        needs: &[],
        take: |_| packages::ALL.iter().try_for_each(|&one| packages::ensure(one).map(drop)),
    },
    Step {
        name: "authors",
        about: "install the tools of guest authors, and run the tests of the SDKs",
        minutes: 2,
        needs: &[],
        take: |_| authors::test(),
    },
    Step {
        name: "tests",
        about: "run all tests of the workspace, with doc tests",
        minutes: 6,
        needs: &[GUESTS.name],
        take: |name| {
            let mut tests = Command::new("cargo");
            tests.args(["test", "--locked", "--workspace", "--no-fail-fast"]);
            // Half of the time they wait for processes and clocks.
            let cores = std::thread::available_parallelism().map_or(2, usize::from);
            run(name, tests.env("RUST_TEST_THREADS", (cores + 1).to_string()))
        },
    },
    Step {
        name: "browser",
        about: "test the console in Chromium",
        minutes: 3,
        needs: &[CONSOLE.name, GUESTS.name],
        take: |_| browser::test(),
    },
    Step {
        name: "hostile",
        about: "run the hostile guests, as `cargo xtask hostile`",
        minutes: 5,
        needs: &[GUESTS.name],
        take: |_| hostile::hostile(&[]),
    },
    Step {
        name: "fuzz",
        about: "run each fuzz target for 5 s with a fixed seed, as `cargo xtask fuzz`",
        minutes: 2,
        needs: &[],
        take: |_| fuzz::fuzz(&fuzz::Campaign::short()),
    },
    Step {
        name: "schema",
        about: "check the API against its description, as `cargo xtask schema`",
        minutes: 1,
        needs: &[],
        take: |_| schema::schema(schema::EXAMPLES),
    },
    Step {
        name: "counts",
        about: "count the instructions of core paths, as `cargo xtask counts`",
        minutes: 1,
        needs: &[],
        take: |_| counts::counts(false),
    },
    Step {
        name: "crash",
        about: "kill a runtime in 20 rounds with a fixed seed, as `cargo xtask crash`",
        minutes: 2,
        needs: &[GUESTS.name],
        take: |_| crash::crash(20, Some(1)),
    },
];

/// The steps of `cargo xtask check`, all of them together under three minutes after a small change.
const CHECK: &[Step] = &[FORMAT, LINTS, UNIT, TIDY];

/// Takes every step of `cargo xtask test`, or only the named ones of either suite. Returns true if
/// all passed.
///
/// # Errors
/// [`Error::UnknownStep`].
pub fn test(names: &[String]) -> Result<bool, Error> {
    let known = || TEST.iter().chain(&CHECK[2..]);
    if let Some(name) = names.iter().find(|name| known().all(|step| step.name != **name)) {
        let known = known().map(|step| step.name).collect::<Vec<_>>().join(", ");
        return Err(Error::UnknownStep { name: name.clone(), known });
    }
    let is_wanted = |step: &&Step| names.iter().any(|name| name == step.name);
    Ok(take_all(match names {
        [] => TEST.iter().collect(),
        _ => known().filter(is_wanted).collect(),
    }))
}

/// Takes every step of `cargo xtask check`. Returns true if all passed.
pub fn check() -> bool {
    take_all(CHECK.iter().collect())
}

/// Lists the steps that `cargo xtask test` takes by name.
pub fn test_help() -> String {
    let by_name = list(&CHECK[2..]);
    format!("Steps:\n{}\nOnly by name, or in `cargo xtask check`:\n{by_name}", list(TEST))
}

/// Lists the steps of `cargo xtask check`.
pub fn check_help() -> String {
    format!("Steps:\n{}", list(CHECK))
}

fn list(steps: &[Step]) -> String {
    let line = |step: &Step| match step.minutes {
        0 => format!("  {:<12} {}\n", step.name, step.about),
        minutes => format!("  {:<12} {} (about {minutes} min)\n", step.name, step.about),
    };
    steps.iter().map(line).collect()
}

/// Prints each step with its time, and at the end those that did not pass.
#[expect(clippy::print_stdout, reason = "a test runner's last line goes where tests print")]
fn take_all(steps: Vec<&Step>) -> bool {
    let began = Instant::now();
    let ends = Ends::of(steps, take);
    println!("{ends}; finished in {:.1} s", began.elapsed().as_secs_f32());
    ends.all_passed()
}

#[expect(clippy::print_stdout, reason = "the progress is printed beside the tests' output")]
fn take(step: &Step) -> End {
    match step.minutes {
        0 => println!("== {}", step.name),
        minutes => println!("== {}: about {minutes} min when warm", step.name),
    }
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

fn cargo(name: &'static str, arguments: &[&str]) -> Result<(), Error> {
    run(name, Command::new("cargo").args(arguments))
}

/// Runs a command on this process's own streams, so that a failure is shown where it happens.
fn run(name: &'static str, command: &mut Command) -> Result<(), Error> {
    let status = command
        .current_dir(tree::root())
        .status()
        .map_err(|source| Error::NotStarted { what: name.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Step(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_step_is_refused_with_the_known_ones() {
        let error = test(&["hostle".into()]).unwrap_err().to_string();
        assert!(error.contains("\"hostle\"") && error.contains("hostile, fuzz"), "{error}");
    }

    #[test]
    fn help_lists_every_step_once() {
        for step in TEST.iter().chain(CHECK) {
            let line = format!("  {:<12} {}", step.name, step.about);
            assert_eq!(test_help().matches(&line).count(), 1, "{}", step.name);
        }
    }
}
