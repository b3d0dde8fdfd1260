//! Starts a child, reads its reports, and makes sure that it dies.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::Tools;
use crate::doom::{Doom, PATIENCE};
use crate::findings::Findings;
use crate::ledger::Ledger;
use crate::line::Line;
use crate::plan::Plan;

/// The bound on opening, which is long where components are compiled for the first time.
const OPENING: Duration = Duration::from_secs(60);

/// The files of a child.
pub(crate) struct Ground<'a> {
    pub(crate) store: &'a Path,
    /// The file for its reports and its runtime's log.
    pub(crate) log: &'a Path,
    pub(crate) tools: &'a Tools,
}

/// Runs a child until its doom. Returns true if the doom occurred, and false if the child was
/// killed later instead.
pub(crate) fn live(
    ground: &Ground<'_>,
    plan: &Plan,
    doom: &Doom,
    ledger: &mut Ledger,
    findings: &mut Findings,
) -> bool {
    let began = Instant::now();
    let errors = ground.log.with_extension("stderr");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("child")
        .arg("--store")
        .arg(ground.store)
        .arg("--guests")
        .arg(&ground.tools.guests)
        .arg("--cache")
        .arg(&ground.tools.cache)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let text = serde_json::to_vec(plan).unwrap();
    // A child that dies early does not read it.
    drop(child.stdin.take().unwrap().write_all(&text));
    let lines = listen(&mut child, ground.log);

    let mut until = match doom {
        Doom::Early(after) => began + *after,
        Doom::Point(..) | Doom::MidTurn(..) | Doom::Moment(_) => began + OPENING,
    };
    let mut turns = 0;
    let mut came_about = matches!(doom, Doom::Early(_) | Doom::Moment(_));
    let mut killed = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                match (&line, doom) {
                    (Line::Opened, Doom::Moment(after)) => until = Instant::now() + *after,
                    (Line::Opened, Doom::Point(..) | Doom::MidTurn(..)) => {
                        until = Instant::now() + PATIENCE;
                    }
                    (Line::LongTurn, Doom::MidTurn(nth, delay)) => {
                        turns += 1;
                        if turns == *nth {
                            came_about = true;
                            until = Instant::now() + *delay;
                        }
                    }
                    _ => {}
                }
                ledger.hear(line, findings);
            }
            Err(RecvTimeoutError::Timeout) if !killed => {
                child.kill().unwrap();
                killed = true;
                // Reads until the end of the reports.
                until = Instant::now() + OPENING;
            }
            Err(RecvTimeoutError::Timeout) => {
                findings.wrong("a killed child does not end");
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().unwrap();
    let by_point = matches!(doom, Doom::Point(..)) && !killed;
    findings.expect(status.signal() == Some(9) && (killed || by_point), || {
        format!("the child ended by itself: {status}")
    });
    let logged = std::fs::read_to_string(&errors).unwrap();
    for line in logged.lines().filter(|line| line.contains(" ERROR ")) {
        findings.wrong(format!("the child's log has an error: {line}"));
    }
    if logged.is_empty() {
        std::fs::remove_file(&errors).unwrap();
    }
    came_about || by_point
}

/// Reads a child's lines. An incomplete line is ignored.
fn listen(child: &mut Child, log: &Path) -> Receiver<Line> {
    let (said, lines) = channel();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut log = std::io::BufWriter::new(File::create(log).unwrap());
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while out.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            log.write_all(&line).unwrap();
            if line.ends_with(b"\n") {
                let parsed = serde_json::from_slice(&line).unwrap();
                if said.send(parsed).is_err() {
                    return;
                }
            }
            line.clear();
        }
    });
    lines
}
