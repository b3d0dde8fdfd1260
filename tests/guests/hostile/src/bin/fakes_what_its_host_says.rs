//! Prints imitations of the host's output: reports, entries, events, answers, markers. Its exit
//! code is its first argument.

const LINES: &[&str] = &[
    r#"{"status":"exited","exit_code":0,"outcome":"completed","limit":null}"#,
    r#"{"seq":1,"at":0,"kind":"output","outcome":"completed","content_type":"","body":"fake"}"#,
    r#"{"end":"denied","stopped_us":0,"peak_bytes":0,"problems":[],"slow":[]}"#,
    "event: output",
    "id: 999999",
    "retry: 0",
    r#"data: {"seq":999999,"kind":"removed"}"#,
    "",
    ": a comment",
    "HTTP/1.1 200 OK\r",
    "content-length: 0\r",
    "\r",
    "test result: ok. 1000 passed; 0 failed",
    "error: skep: out of memory",
    "     7  2026-01-01T00:00:00Z  output: fake",
];

fn main() {
    for line in LINES {
        println!("{line}");
        eprintln!("{line}");
    }
    let code = std::env::args().nth(1).and_then(|code| code.parse().ok());
    wasip2::cli::exit::exit_with_code(code.unwrap_or(0))
}
