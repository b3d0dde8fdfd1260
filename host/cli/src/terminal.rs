//! How this program prints: results to standard output, notices to standard error.
//!
//! All of it goes through here. What could not be written is an error of the command, which does
//! not end with 0 then; only a reader that closed its pipe, as `head` does, has had what it wanted.
//! On a terminal there is colour, a spinner, and a filter for what guests write.

use std::io::{self, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::exit;
use crate::filter::Filter;
use crate::standard::Standard;

/// How long something may take before it gets a spinner.
const PATIENCE: Duration = Duration::from_millis(500);

/// Output that did not reach its reader.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {}: {error}", stream.name())]
pub(crate) struct Lost {
    stream: Standard,
    error: io::Error,
}

impl Lost {
    pub(crate) fn new(stream: Standard, error: io::Error) -> Self {
        Self { stream, error }
    }

    /// Whether the reader closed its end, which is no failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.error.kind() == io::ErrorKind::BrokenPipe
    }
}

/// The first notice that was lost. A notice is said in passing, where there is no way to fail.
static LOST_NOTICE: Mutex<Option<Lost>> = Mutex::new(None);

/// The exit code of a command that would end with `code`: not 0 if one of its notices was lost.
pub(crate) fn settle(code: u8) -> u8 {
    let lost = LOST_NOTICE.lock().unwrap_or_else(PoisonError::into_inner).take();
    match lost {
        Some(lost) if code == 0 && !lost.is_closed_pipe() => exit::SKEP_FAILED,
        _ => code,
    }
}

/// The exit code of a command that has printed its result, or lost it, and would end with `code`.
/// A code that says what went wrong before stays.
pub(crate) fn conclude(printed: Result<(), Lost>, code: u8) -> u8 {
    match printed {
        Err(lost) if !lost.is_closed_pipe() => {
            say("error", &lost.to_string());
            if code == 0 { exit::SKEP_FAILED } else { code }
        }
        _ => code,
    }
}

/// Whether standard error is a terminal that wants colour.
pub(crate) fn stderr_is_terminal() -> bool {
    Standard::Err.is_terminal()
}

fn colour() -> bool {
    stderr_is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a notice after a coloured label. One that is lost counts when the command ends.
pub(crate) fn say(label: &str, message: &str) {
    note(try_say(label, message));
}

/// Prints a notice that matters by itself: a token, an address.
pub(crate) fn try_say(label: &str, message: &str) -> Result<(), Lost> {
    let label = match (colour(), label) {
        (false, _) => format!("{label}:"),
        (true, "error") => format!("\x1b[1;31m{label}:\x1b[0m"),
        (true, _) => format!("\x1b[1;36m{label}:\x1b[0m"),
    };
    write(Standard::Err, format!("{label} {message}\n").as_bytes())
}

/// Prints a result to standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Lost> {
    write(Standard::Out, bytes)
}

/// Prints what a guest wrote to standard output; on a terminal, filtered.
pub(crate) fn print_guest(bytes: &[u8]) -> Result<(), Lost> {
    if !Standard::Out.is_terminal() {
        return print(bytes);
    }
    let mut shown = filtered(bytes);
    if !shown.is_empty() && !shown.ends_with(b"\n") {
        shown.push(b'\n');
    }
    print(&shown)
}

/// Prints what a guest wrote to standard error; on a terminal, filtered.
pub(crate) fn print_guest_error(bytes: &[u8]) -> Result<(), Lost> {
    match stderr_is_terminal() {
        true => write(Standard::Err, &filtered(bytes)),
        false => write(Standard::Err, bytes),
    }
}

/// Prints an error that is already laid out.
pub(crate) fn print_error(bytes: &[u8]) -> Result<(), Lost> {
    write(Standard::Err, bytes)
}

fn write(mut stream: Standard, bytes: &[u8]) -> Result<(), Lost> {
    stream.write_all(bytes).map_err(|error| Lost::new(stream, error))
}

fn note(said: Result<(), Lost>) {
    if let Err(lost) = said {
        LOST_NOTICE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(lost);
    }
}

fn filtered(bytes: &[u8]) -> Vec<u8> {
    let mut shown = Vec::new();
    // Writing to a vector does not fail.
    let _ = Filter::new(&mut shown).write_all(bytes);
    shown
}

/// A spinner on standard error for as long as the value lives, from half a second on.
pub(crate) struct Spinner {
    stop: Option<Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Spinner {
    /// Announces what is being done.
    pub(crate) fn after_a_while(message: String) -> Self {
        if !stderr_is_terminal() {
            return Self { stop: None, thread: None };
        }
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::spawn(move || {
            if stopped.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg} ({elapsed})");
            let bar = ProgressBar::new_spinner().with_message(message);
            bar.set_style(style.expect("the template is well-formed"));
            bar.enable_steady_tick(Duration::from_millis(100));
            // Ends when the sender is dropped.
            let _ = stopped.recv();
            bar.finish_and_clear();
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
