//! All output of this program: results on standard output, notices on standard error.
//!
//! Output that cannot be written is an error, and the command does not exit with 0. The exception
//! is a reader that closed its pipe, as `head` does. On a terminal there is colour, a spinner, and
//! a filter for guest output.

use std::io::{self, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::exit;
use crate::filter::Filter;
use crate::standard::Standard;

/// Time before a spinner appears.
const SPINNER_DELAY: Duration = Duration::from_millis(500);

/// An error that lost output.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {}: {error}", stream.name())]
pub(crate) struct LostOutput {
    stream: Standard,
    error: io::Error,
}

impl LostOutput {
    pub(crate) fn new(stream: Standard, error: io::Error) -> Self {
        Self { stream, error }
    }

    /// Returns true if the reader closed its end, which is not a failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.error.kind() == io::ErrorKind::BrokenPipe
    }
}

/// The first lost notice. `say` cannot fail, so the command's exit code reports the loss.
static LOST_NOTICE: Mutex<Option<LostOutput>> = Mutex::new(None);

/// Returns the final exit code of a command: `code`, unless that is 0 and a notice was lost.
pub(crate) fn settle(code: u8) -> u8 {
    let lost = LOST_NOTICE.lock().unwrap_or_else(PoisonError::into_inner).take();
    match lost {
        Some(lost) if code == 0 && !lost.is_closed_pipe() => exit::SKEP_FAILED,
        _ => code,
    }
}

/// Returns the exit code of a command that printed its result, or failed to. A `code` other than 0
/// stays, because it reports an earlier failure.
pub(crate) fn conclude(printed: Result<(), LostOutput>, code: u8) -> u8 {
    match printed {
        Err(lost) if !lost.is_closed_pipe() => {
            say("error", &lost.to_string());
            if code == 0 { exit::SKEP_FAILED } else { code }
        }
        _ => code,
    }
}

/// Returns true if standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    Standard::Err.is_terminal()
}

/// Returns true if standard error shows colours.
pub(crate) fn stderr_has_colour() -> bool {
    colour()
}

fn colour() -> bool {
    // A run asks for each of its lines.
    static COLOUR: OnceLock<bool> = OnceLock::new();
    let wanted = || std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    *COLOUR.get_or_init(|| stderr_is_terminal() && wanted())
}

/// Prints a notice after a coloured label. A loss is reported by [`settle`].
pub(crate) fn say(label: &str, message: &str) {
    note(try_say(label, message));
}

/// Prints a notice that the caller must not lose, such as a token or an address.
pub(crate) fn try_say(label: &str, message: &str) -> Result<(), LostOutput> {
    let label = match (colour(), label) {
        (false, _) => format!("{label}:"),
        (true, "error") => format!("\x1b[1;31m{label}:\x1b[0m"),
        (true, _) => format!("\x1b[1;36m{label}:\x1b[0m"),
    };
    write(Standard::Err, format!("{label} {message}\n").as_bytes())
}

/// Prints a result to standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<(), LostOutput> {
    write(Standard::Out, bytes)
}

/// Prints a guest's standard output, filtered if it goes to a terminal.
pub(crate) fn print_guest(bytes: &[u8]) -> Result<(), LostOutput> {
    if !Standard::Out.is_terminal() {
        return print(bytes);
    }
    let mut shown = filtered(bytes);
    if !shown.is_empty() && !shown.ends_with(b"\n") {
        shown.push(b'\n');
    }
    print(&shown)
}

/// Prints a guest's standard error, filtered if it goes to a terminal.
pub(crate) fn print_guest_error(bytes: &[u8]) -> Result<(), LostOutput> {
    match stderr_is_terminal() {
        true => write(Standard::Err, &filtered(bytes)),
        false => write(Standard::Err, bytes),
    }
}

/// Prints an error that is already formatted.
pub(crate) fn print_error(bytes: &[u8]) -> Result<(), LostOutput> {
    write(Standard::Err, bytes)
}

fn write(mut stream: Standard, bytes: &[u8]) -> Result<(), LostOutput> {
    stream.write_all(bytes).map_err(|error| LostOutput::new(stream, error))
}

fn note(printed: Result<(), LostOutput>) {
    if let Err(lost) = printed {
        LOST_NOTICE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(lost);
    }
}

fn filtered(bytes: &[u8]) -> Vec<u8> {
    let mut shown = Vec::new();
    // Writing to a vector does not fail.
    let _ = Filter::new(&mut shown).write_all(bytes);
    shown
}

/// A spinner on standard error. It appears after half a second and stops when the value is dropped.
pub(crate) struct Spinner {
    messages: Option<SpinnerMessages>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Changes the message of a spinner. Outlives it without effect.
#[derive(Clone)]
pub(crate) struct SpinnerMessages(Sender<Option<String>>);

impl SpinnerMessages {
    /// Shows another message.
    pub(crate) fn show(&self, message: String) {
        // The spinner may have stopped.
        let _ = self.0.send(Some(message));
    }
}

impl Spinner {
    /// Starts the delay of a spinner with this message.
    pub(crate) fn after_a_while(message: String) -> Self {
        Self::start(message, SPINNER_DELAY, Duration::ZERO)
    }

    /// Shows a spinner at once, for work that has taken this long already.
    pub(crate) fn since(message: String, taken: Duration) -> Self {
        Self::start(message, Duration::ZERO, taken)
    }

    fn start(mut message: String, delay: Duration, taken: Duration) -> Self {
        if !stderr_is_terminal() {
            return Self { messages: None, thread: None };
        }
        let (sender, messages) = channel::<Option<String>>();
        let thread = std::thread::spawn(move || {
            let until = Instant::now() + delay;
            loop {
                match messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(Some(other)) => message = other,
                    Err(RecvTimeoutError::Timeout) => break,
                    Ok(None) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg} ({elapsed})");
            let bar = ProgressBar::new_spinner().with_message(message);
            let bar = bar.with_elapsed(taken);
            bar.set_style(style.expect("the template is well-formed"));
            bar.enable_steady_tick(Duration::from_millis(100));
            while let Ok(Some(message)) = messages.recv() {
                bar.set_message(message);
            }
            bar.finish_and_clear();
        });
        Self { messages: Some(SpinnerMessages(sender)), thread: Some(thread) }
    }

    /// Returns a means to change the message. Returns `None` if nothing is shown.
    pub(crate) fn messages(&self) -> Option<SpinnerMessages> {
        self.messages.clone()
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(SpinnerMessages(sender)) = self.messages.take() {
            let _ = sender.send(None);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
