//! The README's picture of a terminal: a real session, drawn as SVG.
//!
//! A test draws it again and compares, so the picture is always current.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::packages::{self, PYTHON};
use crate::session::Session;
use crate::{Error, tree};

/// The commands. Their output is the same on every machine.
const COMMANDS: &[&str] = &[
    "skep run --dir notes --env LANG=en hello.wasm",
    "skep run --dir notes python.wasm -c 'open(\"/data/today.txt\", \"w\")'",
    "skep run --timeout 1s python.wasm -c 'while True: pass'; echo $?",
    "echo hello | skep run --input - counter.wasm",
];

/// The dimensions in pixels. A fallback font may be a little wider than the usual ones.
const COLUMN: usize = 9;
const LINE: usize = 20;
const MARGIN: usize = 20;
const TITLE: usize = 36;

/// Returns the path of the picture.
pub fn path() -> PathBuf {
    tree::root().join("host/cli/session.svg")
}

/// Draws the picture and writes it to [`path`].
///
/// # Errors
/// Those of [`draw`], and [`Error::File`].
pub fn update() -> Result<(), Error> {
    fs::write(path(), draw()?).map_err(Error::file("writing", path()))
}

/// Runs the session and draws it.
///
/// # Errors
/// The errors of building, fetching and running the commands.
pub fn draw() -> Result<String, Error> {
    let folder = tempfile::tempdir().map_err(Error::file("creating", std::env::temp_dir()))?;
    let notes = folder.path().join("notes");
    let write = || {
        fs::create_dir(&notes)?;
        fs::write(notes.join("today.txt"), "water the plants\n")
    };
    write().map_err(Error::file("writing", &notes))?;
    let session = Session::start(folder.path().to_owned())?;
    session.bring(&["hello", "counter"])?;
    session.copy(&packages::ensure(PYTHON)?)?;

    let mut text = String::new();
    for command in COMMANDS {
        let shown = session.capture(command)?.text;
        // Writing to a string does not fail.
        let _ = write!(text, "\x1b[32m$\x1b[0m \x1b[1m{command}\x1b[0m\n{shown}\n");
    }
    Ok(render(text.trim_end()))
}

/// Renders coloured text as a window of light on dark, which is readable on any page.
fn render(text: &str) -> String {
    let lines: Vec<Vec<Span>> = lines(text);
    let columns = |line: &Vec<Span>| line.iter().map(|span| span.text.chars().count()).sum();
    let width = 2 * MARGIN + COLUMN * lines.iter().map(columns).max().unwrap_or(0);
    let height = TITLE + MARGIN + LINE * lines.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>A terminal session with skep</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#1b1f27\"/>\n\
         <g fill=\"#4a5160\"><circle cx=\"20\" cy=\"18\" r=\"6\"/><circle cx=\"40\" cy=\"18\" \
         r=\"6\"/><circle cx=\"60\" cy=\"18\" r=\"6\"/></g>\n\
         <g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" \
         font-size=\"14\" fill=\"#d7dce5\" xml:space=\"preserve\">\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let _ = write!(svg, "<text x=\"{MARGIN}\" y=\"{}\">", TITLE + 14 + LINE * row);
        for span in line {
            let text = span.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = match span.style() {
                Some(style) => write!(svg, "<tspan {style}>{text}</tspan>"),
                None => write!(svg, "{text}"),
            };
        }
        svg.push_str("</text>\n");
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// A piece of a line in one style.
struct Span {
    text: String,
    bold: bool,
    /// The terminal's number, 31 to 37.
    colour: Option<u8>,
}

impl Span {
    fn style(&self) -> Option<String> {
        let colour = self.colour.map(|colour| match colour {
            31 => "#ff7b72",
            32 => "#7ee787",
            33 => "#e3b341",
            34 | 35 => "#a5b4fc",
            _ => "#76e3ea",
        });
        match (colour, self.bold) {
            (None, false) => None,
            (None, true) => Some("font-weight=\"bold\"".into()),
            (Some(colour), false) => Some(format!("fill=\"{colour}\"")),
            (Some(colour), true) => Some(format!("fill=\"{colour}\" font-weight=\"bold\"")),
        }
    }
}

/// Splits a text with colour and bold sequences into lines of spans.
fn lines(text: &str) -> Vec<Vec<Span>> {
    let (mut bold, mut colour) = (false, None);
    let mut spans_of = |line: &str| {
        let mut spans = Vec::new();
        for (place, part) in line.split("\x1b[").enumerate() {
            let text = match (place, part.split_once('m')) {
                (1.., Some((codes, text))) => {
                    for code in codes.split(';') {
                        match code.parse() {
                            Ok(1) => bold = true,
                            Ok(number @ 31..=37) => colour = Some(number),
                            _ => (bold, colour) = (false, None),
                        }
                    }
                    text
                }
                _ => part,
            };
            if !text.is_empty() {
                spans.push(Span { text: text.into(), bold, colour });
            }
        }
        spans
    };
    text.lines().map(&mut spans_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_spans_and_markup_is_text() {
        let svg = render("\x1b[1;31merror:\x1b[0m <a> & b\nplain");
        assert!(svg.contains(
            "<tspan fill=\"#ff7b72\" font-weight=\"bold\">error:</tspan> &lt;a&gt; &amp; b</text>"
        ));
        assert!(svg.contains(">plain</text>"));
    }

    #[test]
    fn the_picture_in_the_readme_is_what_a_terminal_shows() {
        let committed = fs::read_to_string(path()).unwrap();
        assert!(committed == draw().unwrap(), "run `cargo xtask picture` and look at it");
    }
}
