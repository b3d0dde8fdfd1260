//! The lines that `skep serve` prints: one for each request, and those of the guests.
//!
//! A thread prints them, so that a slow reader never delays a request. What it cannot keep up with is
//! counted and told.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use skep_lanes::{ExchangeEnd, ExchangeReport};
use skep_protocol::Failure;
use skep_protocol::text::{brief, neutral};
use skep_sandbox::stdio::LineSink;

use crate::filter::Filter;
use crate::output::OutputFormat;
use crate::report::{DenialReport, RequestReport};
use crate::standard::Standard;
use crate::terminal::LostOutput;
use crate::{json, terminal};

/// Lines that wait to be printed.
const WAITING: usize = 1_024;

/// Lines for requests that are printed in a second. Further ones are counted.
const PER_SECOND: u32 = 1_000;

/// Maximum characters of a target that are shown.
const TARGET: usize = 200;

/// A stream of a guest.
#[derive(Clone, Copy)]
pub(super) enum GuestStream {
    Out,
    Err,
}

enum Line {
    Request(Box<ExchangeReport>),
    Guest(GuestStream, Vec<u8>),
}

/// The log of a served component. Cheap to clone.
#[derive(Clone)]
pub(super) struct LineLog(Arc<LogState>);

struct LogState {
    lines: Mutex<Option<SyncSender<Line>>>,
    thread: Mutex<Option<JoinHandle<Result<(), LostOutput>>>>,
    quiet: bool,
    pace: Mutex<Pace>,
    dropped: Arc<AtomicU64>,
}

/// The lines of the present second.
struct Pace {
    since: Instant,
    lines: u32,
}

impl LineLog {
    /// Starts the thread that prints.
    pub(super) fn start(output: OutputFormat, quiet: bool) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        let print = move || print_all(&receiver, output, &counted);
        let thread = std::thread::Builder::new().name("skep-lines".into()).spawn(print)?;
        Ok(Self(Arc::new(LogState {
            lines: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            quiet,
            pace: Mutex::new(Pace { since: Instant::now(), lines: 0 }),
            dropped,
        })))
    }

    /// Returns the sink of a stream of a new guest.
    pub(super) fn of(&self, stream: GuestStream) -> Arc<dyn LineSink> {
        Arc::new(GuestLines { log: self.clone(), stream })
    }

    /// Logs a request that has ended.
    pub(super) fn request(&self, report: ExchangeReport) {
        let is_failure = !matches!(report.end, ExchangeEnd::Answered | ExchangeEnd::ClientLeft);
        if self.0.quiet && !is_failure && report.denials.is_empty() {
            return;
        }
        let mut pace = self.0.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.since.elapsed() >= Duration::from_secs(1) {
            *pace = Pace { since: Instant::now(), lines: 0 };
        }
        pace.lines += 1;
        let is_paced = pace.lines > PER_SECOND;
        drop(pace);
        match is_paced {
            true => self.0.count_dropped(),
            false => self.0.push(Line::Request(Box::new(report))),
        }
    }

    /// Prints what waits, and ends.
    ///
    /// # Errors
    /// The first failed write. Serving went on without.
    pub(super) fn finish(&self) -> Result<(), LostOutput> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic of the thread was printed.
        thread.map_or(Ok(()), |thread| thread.join().unwrap_or(Ok(())))
    }
}

impl LogState {
    fn push(&self, line: Line) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lines) = &*lines
            && let Err(TrySendError::Full(_)) = lines.try_send(line)
        {
            self.count_dropped();
        }
    }

    fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The lines of one stream of one guest.
struct GuestLines {
    log: LineLog,
    stream: GuestStream,
}

impl LineSink for GuestLines {
    fn line(&self, line: &[u8]) {
        self.log.0.push(Line::Guest(self.stream, line.to_vec()));
    }
}

fn print_all(
    lines: &Receiver<Line>,
    output: OutputFormat,
    dropped: &AtomicU64,
) -> Result<(), LostOutput> {
    let mut all = Ok(());
    while let Ok(line) = lines.recv() {
        let missed = dropped.swap(0, Ordering::Relaxed);
        if missed > 0 {
            terminal::say("gap", &format!("{missed} lines came too fast to be shown"));
        }
        let printed = match (line, output) {
            (Line::Request(report), OutputFormat::Json) => {
                terminal::print(&json::line(&request_report(*report)))
            }
            (Line::Request(report), OutputFormat::Text) => {
                terminal::print_error(request_text(&report).as_bytes())
            }
            (Line::Guest(GuestStream::Out, line), OutputFormat::Text) => {
                print_guest(Standard::Out, line)
            }
            (Line::Guest(_, line), _) => print_guest(Standard::Err, line),
        };
        all = all.and(printed);
    }
    all
}

fn print_guest(mut stream: Standard, mut line: Vec<u8>) -> Result<(), LostOutput> {
    line.push(b'\n');
    let written = match stream.is_terminal() {
        true => Filter::new(stream).write_all(&line),
        false => stream.write_all(&line),
    };
    written.map_err(|error| LostOutput::new(stream, error))
}

/// The end of a request in one word, unless it was answered.
fn end_word(end: &ExchangeEnd) -> Option<String> {
    match end {
        ExchangeEnd::Answered => None,
        ExchangeEnd::NoAnswer(why) => Some(why.reason().into()),
        ExchangeEnd::Reset(why) => Some(format!("reset: {}", why.reason())),
        ExchangeEnd::Refused(error) => Some(error.code().into()),
        ExchangeEnd::ClientLeft => Some("client left".into()),
        ExchangeEnd::HostFault(fault) => Some(format!("host fault: {fault}")),
    }
}

fn request_text(report: &ExchangeReport) -> String {
    let target = report.uri.path_and_query().map_or("/", |target| target.as_str());
    let target = brief(target, TARGET);
    let status = match report.status {
        0 => "-".to_owned(),
        status => status.to_string(),
    };
    let mut text = format!(
        "{} {} {status} {:.1}ms {}B",
        neutral(report.method.as_str()),
        neutral(&target),
        report.took.as_secs_f64() * 1e3,
        report.bytes_out,
    );
    if let Some(word) = end_word(&report.end) {
        text += &format!(" ({})", neutral(&word));
    }
    if let Some(limit) = report.limit {
        text += &format!(" limit {limit}");
    }
    for denied in report.denials.iter() {
        let wanted = denied.denial.wanted.as_deref().unwrap_or(denied.interface);
        text += &format!(" denied: {}", neutral(wanted));
    }
    text.push('\n');
    if let Some(failure) = &report.failure {
        text += &format!("  failure: {}\n", neutral(&shown(failure)));
    }
    if let Some(crash) = &report.crash {
        text += &format!("  trap: {}\n", neutral(&crash.message));
        for frame in crash.frames.iter().take(8) {
            text += &format!("    at {}\n", neutral(&frame.function));
        }
    }
    text
}

/// Returns the text of a guest's failure.
fn shown(failure: &Failure) -> String {
    format!("{}: {}", failure.code, failure.message)
}

fn request_report(report: ExchangeReport) -> RequestReport {
    RequestReport {
        method: report.method.as_str().to_owned(),
        target: report.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        status: report.status,
        end: end_word(&report.end).unwrap_or_else(|| "answered".into()),
        ms: report.took.as_secs_f64() * 1e3,
        cpu_ms: report.cost.cpu.as_secs_f64() * 1e3,
        bytes_in: report.bytes_in,
        bytes_out: report.bytes_out,
        peak_memory_bytes: report.cost.memory_peak_bytes,
        limit: report.limit,
        trap: report.crash.map(|crash| crash.message),
        failure: report.failure.as_ref().map(shown),
        denials: report
            .denials
            .iter()
            .map(|denied| DenialReport {
                interface: denied.interface,
                wanted: denied.denial.wanted.clone(),
                allow: None,
            })
            .collect(),
    }
}
