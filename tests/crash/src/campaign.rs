//! Rounds: each kills one child or several in a row, and then checks the store.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use skep_sandbox::Sandbox;
use skep_store::fault::POINTS;

use crate::Tools;
use crate::chance::Chance;
use crate::checker::Check;
use crate::doom::{BIRTH, Doom};
use crate::findings::Findings;
use crate::ledger::{Counts, Ledger};
use crate::place;
use crate::plan::Plan;
use crate::victim::{self, Ground};
use crate::wasm::Wasm;

/// Set when a thread of the checker's own runtime panics.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// The interval of rounds with a full check.
const DEEP: u64 = 8;

/// One store with its whole history.
struct Campaign<'a> {
    folder: PathBuf,
    store: PathBuf,
    ledger: Ledger,
    stage: &'a Stage,
}

/// The state that all campaigns share.
struct Stage {
    tools: Tools,
    tokio: tokio::runtime::Runtime,
    sandbox: Sandbox,
    wasm: Arc<Wasm>,
}

/// The statistics of a run.
#[derive(Default)]
struct Tally {
    /// By name: children that died this way, and those that were killed later instead.
    dooms: BTreeMap<&'static str, (u64, u64)>,
    children: u64,
    counts: Counts,
}

/// Runs rounds. Returns true if no violation was found.
pub(crate) fn run(rounds: u64, seed: u64, folder: &Path, tools: &Tools) -> bool {
    say(&format!("seed: {seed} ({rounds} rounds)"));
    let began = Instant::now();
    let folder = folder.join(format!("seed-{seed}"));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICKED.store(true, Ordering::SeqCst);
        print(panic);
    }));
    let tokio = tokio::runtime::Builder::new_multi_thread();
    let stage = Stage {
        tools: tools.clone(),
        tokio: { tokio }.worker_threads(2).enable_time().build().unwrap(),
        sandbox: place::sandbox(&tools.cache),
        wasm: Arc::new(Wasm::read(&tools.guests)),
    };
    let mut chance = Chance::new(seed);
    let mut tally = Tally::default();
    let mut main = Campaign::new(folder.join("main"), &stage);
    let mut violations = Findings::default();
    let mut round = 0;
    while round < rounds && violations.is_empty() {
        let mut chance = chance.fork(round);
        let doom = Doom::of_round(round, &mut chance);
        let last = round + 1 == rounds;
        if doom.name() == BIRTH {
            // An existing store never passes the point of its creation.
            let mut side = Campaign::new(folder.join(format!("side-{round}")), &stage);
            violations = side.round(round, &[doom], true, &mut chance, &mut tally);
            if violations.is_empty() {
                let then = [Doom::of_storm(&mut chance), Doom::of_round(15, &mut chance)];
                violations = side.round(round, &then, true, &mut chance, &mut tally);
            }
            tally.counts.add(side.ledger.counts);
            if violations.is_empty() {
                fs::remove_dir_all(&side.folder).unwrap();
            }
        } else {
            let mut dooms = vec![doom];
            while dooms.len() < 3 && chance.percent(25) {
                dooms.push(Doom::of_storm(&mut chance));
            }
            let deep = last || round % DEEP == DEEP - 1;
            violations = main.round(round, &dooms, deep, &mut chance, &mut tally);
        }
        round += 1;
        progress(round, rounds, &violations);
    }
    tally.counts.add(main.ledger.counts);
    report(round, &tally, began);
    for violation in violations.iter() {
        say(&format!("violation: {violation}"));
    }
    say(&format!("violations: {}", violations.len()));
    if violations.is_empty() {
        drop(main);
        fs::remove_dir_all(&folder).unwrap();
    } else {
        say(&format!(
            "in round {round}; the stores and the children's logs are kept in {}",
            folder.display()
        ));
    }
    violations.is_empty()
}

impl<'a> Campaign<'a> {
    fn new(folder: PathBuf, stage: &'a Stage) -> Self {
        let store = folder.join("store");
        fs::create_dir_all(&store).unwrap();
        Self { folder, store, ledger: Ledger::default(), stage }
    }

    /// Kills a child in each of these ways, then checks the store.
    fn round(
        &mut self,
        round: u64,
        dooms: &[Doom],
        deep: bool,
        chance: &mut Chance,
        tally: &mut Tally,
    ) -> Findings {
        let mut findings = Findings::default();
        for doom in dooms {
            tally.children += 1;
            let generation = tally.children;
            let point = match doom {
                Doom::Point(point, nth) => Some(((*point).to_owned(), *nth)),
                Doom::MidTurn(..) | Doom::Moment(_) | Doom::Early(_) => None,
            };
            let retries = self.ledger.retries();
            let plan = Plan { generation, seed: chance.next(), point, retries };
            let log = self.folder.join(format!("round-{round:03}-child-{generation:03}.log"));
            let ground = Ground { store: &self.store, log: &log, tools: &self.stage.tools };
            let came_about = victim::live(&ground, &plan, doom, &mut self.ledger, &mut findings);
            self.ledger.abandon();
            let counted = tally.dooms.entry(doom.name()).or_default();
            counted.0 += u64::from(came_about);
            counted.1 += u64::from(!came_about);
        }
        if findings.is_empty() {
            let check = Check {
                store: &self.store,
                sandbox: &self.stage.sandbox,
                wasm: &self.stage.wasm,
                ledger: &mut self.ledger,
                chance,
                generation: tally.children,
                deep,
                findings,
            };
            findings = self.stage.tokio.block_on(check.run());
        }
        findings
            .expect(!PANICKED.load(Ordering::SeqCst), || "the checker's runtime panicked".into());
        findings
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.answers += other.answers;
        self.inputs += other.inputs;
        self.seen += other.seen;
    }
}

fn report(rounds: u64, tally: &Tally, began: Instant) {
    say(&format!(
        "{rounds} rounds, {} children killed, {:.1} s",
        tally.children,
        began.elapsed().as_secs_f32()
    ));
    let Counts { requests, answers, inputs, seen } = tally.counts;
    say(&format!(
        "{requests} requests, {answers} of them answered; {inputs} inputs sent; {seen} entries seen \
         by subscribers"
    ));
    let none = POINTS.iter().map(|point| (*point, (0, 0)));
    let mut dooms: BTreeMap<_, _> = none.collect();
    dooms.extend(tally.dooms.iter().map(|(name, counts)| (*name, *counts)));
    for (name, (came_about, killed_later)) in dooms {
        let later = match killed_later {
            0 => String::new(),
            times => format!(", and {times} not reached"),
        };
        say(&format!("  {name:<18} {came_about:>4}{later}"));
    }
}

fn progress(round: u64, rounds: u64, violations: &Findings) {
    let mut out = io::stderr();
    if out.is_terminal() {
        let end = if round == rounds || !violations.is_empty() { "\n" } else { "" };
        drop(write!(out, "\rround {round} of {rounds}{end}").and_then(|()| out.flush()));
    }
}

#[expect(clippy::print_stdout, reason = "a test prints its findings")]
fn say(text: &str) {
    println!("{text}");
}
