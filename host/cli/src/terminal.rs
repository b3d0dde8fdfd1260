//! What only happens on a terminal: colour, a spinner, and a filter for what guests write to it.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How long something may take before it gets a spinner.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether standard error is a terminal that wants colour.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

fn colour() -> bool {
    stderr_is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a message for the person at the terminal, after a coloured label.
pub(crate) fn say(label: &str, message: &str) {
    let label = match (colour(), label) {
        (false, _) => format!("{label}:"),
        (true, "error") => format!("\x1b[1;31m{label}:\x1b[0m"),
        (true, _) => format!("\x1b[1;36m{label}:\x1b[0m"),
    };
    // A closed terminal is no reason to fail.
    let _ = writeln!(io::stderr(), "{label} {message}");
}

/// Writes to standard output; whether anybody takes it is not ours to know.
pub(crate) fn print(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Writes what a guest wrote to standard output; on a terminal, filtered.
pub(crate) fn print_guest(bytes: &[u8]) {
    if !io::stdout().is_terminal() {
        return print(bytes);
    }
    let mut shown = filtered(bytes);
    if !shown.is_empty() && !shown.ends_with(b"\n") {
        shown.push(b'\n');
    }
    print(&shown);
}

/// The same for standard error.
pub(crate) fn complain_guest(bytes: &[u8]) {
    let shown = if stderr_is_terminal() { filtered(bytes) } else { bytes.to_vec() };
    // A closed terminal is no reason to fail.
    let _ = io::stderr().write_all(&shown);
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
