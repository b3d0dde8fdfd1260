//! Lines that are typed while `skep dev` runs.

use std::io::BufRead;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A line that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TypedLine {
    /// `g`: grant what was denied last.
    Grant,
    /// `r`: build again.
    Rebuild,
    /// An empty line, or `h`: show the commands.
    Help,
    /// Anything else is an input for the worker.
    Input(String),
}

impl TypedLine {
    fn parse(line: &str) -> Self {
        match line.trim_end_matches(['\r', '\n']) {
            "g" => Self::Grant,
            "r" => Self::Rebuild,
            "" | "h" | "?" => Self::Help,
            text => Self::Input(text.to_owned()),
        }
    }
}

/// Reads lines on a thread of its own. After the end of standard input, no more arrive.
pub(super) fn read() -> UnboundedReceiver<TypedLine> {
    let (sender, lines) = unbounded_channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let mut input = std::io::stdin().lock();
        // Input that is not text ends the reading like the end of the stream.
        while input.read_line(&mut line).is_ok_and(|length| length > 0) {
            if sender.send(TypedLine::parse(&line)).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_letters_are_commands_and_the_rest_is_input() {
        assert_eq!(TypedLine::parse("g\n"), TypedLine::Grant);
        assert_eq!(TypedLine::parse("r\r\n"), TypedLine::Rebuild);
        assert_eq!(TypedLine::parse("\n"), TypedLine::Help);
        assert_eq!(TypedLine::parse("go on\n"), TypedLine::Input("go on".into()));
    }
}
