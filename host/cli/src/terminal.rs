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

/// Lets through what a program may do to a terminal that it shares: text, line breaks, tabs and
/// colours. All other control sequences, which could retitle the window, write the clipboard or
/// repaint what Skep said, are shown instead of obeyed.
pub(crate) struct Filter<W> {
    to: W,
    state: State,
}

enum State {
    Text,
    /// Between ESC and the end of what may be a colour: the bytes so far.
    Escape(Vec<u8>),
    /// After 0xC2, which begins the UTF-8 form of the C1 controls.
    C2,
}

/// A colour sequence longer than this is none.
const LONGEST_COLOUR: usize = 32;

impl<W: Write> Filter<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, state: State::Text }
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.state, State::Text) {
            State::Text => match byte {
                0x1b => self.state = State::Escape(vec![byte]),
                0xc2 => self.state = State::C2,
                b'\n' | b'\r' | b'\t' | 0x20..=0x7e | 0x80.. => out.push(byte),
                _ => show(byte, out),
            },
            State::Escape(mut sequence) => match (sequence.len(), byte) {
                (1, b'[') | (2..LONGEST_COLOUR, b'0'..=b'9' | b';' | b':') => {
                    sequence.push(byte);
                    self.state = State::Escape(sequence);
                }
                (2.., b'm') => {
                    out.extend_from_slice(&sequence);
                    out.push(byte);
                }
                _ => {
                    show(0x1b, out);
                    out.extend_from_slice(&sequence[1..]);
                    self.step(byte, out);
                }
            },
            State::C2 if (0x80..0xa0).contains(&byte) => show(byte, out),
            State::C2 => {
                out.push(0xc2);
                self.step(byte, out);
            }
        }
    }
}

fn show(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
}

impl<W: Write> Write for Filter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.step(byte, &mut out);
        }
        self.to.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(chunks: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut filter = Filter::new(&mut out);
        for chunk in chunks {
            filter.write_all(chunk).unwrap();
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn colours_and_text_pass_even_in_pieces() {
        let text = "plain \x1b[1;31mred\x1b[0m é 世 \ttab\r\n";
        assert_eq!(filtered(&[text.as_bytes()]), text);
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(filtered(&pieces), text);
    }

    #[test]
    fn other_sequences_are_shown_and_not_obeyed() {
        for hostile in [
            &b"\x1b]0;title\x07"[..],
            b"\x1b[2J",
            b"\x1b[1;31\x1b[2J",
            b"\x1bc",
            b"\x08\x7f\x00",
            "\u{9b}2J".as_bytes(),
            b"\x1b[11111111111111111111111111111111111111111111m",
        ] {
            let shown = filtered(&[hostile]);
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
        }
    }
}
