//! Prints control sequences that retitle the window, write the clipboard, clear the screen, answer
//! on the keyboard and run a script.

use std::io::Write;

const PIECES: &[&[u8]] = &[
    b"\x1b]0;title\x07",
    b"\x1b]0;title\x1b\\",
    b"\x1b]52;c;c2VjcmV0\x07",
    b"\x1b]8;;http://example.com\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b]1337;File=inline=1:AAAA\x07",
    b"\x1b[2J\x1b[H",
    b"\x1b[1A\x1b[2K",
    b"\x1b[?1049h\x1b[?2004h\x1b[?25l",
    b"\x1b[6n\x1b[c\x1b[21t",
    b"\x1bPdevice\x1b\\",
    b"\x1b_command\x1b\\",
    b"\x1b^private\x1b\\",
    b"\x1bc\x1b7\x1b8\x1b#8",
    b"\x1b(0\x0e\x0f",
    b"\x9b2J\x9d0;title\x9c",
    "\u{9b}2J\u{9d}0;title\u{9c}".as_bytes(),
    b"\x07\x08\x08\x08\x7f\x0b\x0c\x05",
    b"\x1b[1;31\x1b[2J",
    b"\x1b[38;2;1;2;3mred\x1b[0m\n",
    b"\x1b",
    b"[2J",
    b"\xc2",
    b"\x9b2J",
    b"<script>alert(1)</script><img src=x onerror=alert(1)>\n",
    b"\x1b]0;never ended",
];

fn main() {
    for piece in PIECES {
        for stream in [&mut std::io::stdout() as &mut dyn Write, &mut std::io::stderr()] {
            if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
                hostile::allowed("a stream ended");
            }
        }
    }
}
