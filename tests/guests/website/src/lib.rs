//! An HTTP guest with whole bodies that does what the path says: `/COMMAND/ARGUMENT`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use skep_guest::web::{Request, Response};
use skep_guest::{Failure, config, context, state, transcript};

/// Requests that this instance has handled.
static HANDLED: AtomicU64 = AtomicU64::new(0);

#[skep_guest::web]
fn respond(request: Request) -> Result<Response, Failure> {
    let handled = HANDLED.fetch_add(1, Ordering::Relaxed) + 1;
    let mut parts = request.path().trim_start_matches('/').splitn(2, '/');
    let command = parts.next().unwrap_or_default();
    let argument = parts.next().unwrap_or_default();
    let number = argument.parse::<u64>().unwrap_or(0);
    match command {
        "" | "hello" => text("hello\n"),
        "echo" => echo(request),
        "target" => text(&format!(
            "{} {} {} {}\n",
            request.method, request.scheme, request.authority, request.path_with_query
        )),
        "headers" => text(&shown_headers(&request)),
        "header-of" => text(request.header(argument).unwrap_or_default()),
        "query" => {
            let pairs = request.query_pairs();
            let found = pairs.iter().find(|(name, _)| name == argument);
            text(found.map_or("", |(_, value)| value))
        }
        "count" => text(&format!("{handled}\n")),
        "status" => Ok(Response::text("as you wish\n").status(number as u16)),
        // Answers with a header whose value is the body.
        "header" => Ok(Response::text("set\n").header(argument, request.body.clone())),
        "headers-of" => {
            let header = |response: Response, n| response.header(format!("x-{n}"), "value");
            Ok((0..number).fold(Response::new(200, ""), header))
        }
        "length" => Ok(Response::new(200, "12345").header("content-length", argument)),
        "bytes" => Ok(Response::new(200, vec![b'x'; number as usize])),
        "fail" => Err(Failure::new("asked", format!("the guest's own words: {argument}"))),
        "trap" => panic!("as you wish"),
        "exit" => std::process::exit(3),
        "spin" => loop {
            std::hint::spin_loop();
        },
        "sleep" => {
            thread::sleep(Duration::from_millis(number));
            text("awake\n")
        }
        "memory" => {
            let mut all = Vec::new();
            while all.len() < 4 << 10 {
                all.push(vec![1u8; 1 << 20]);
            }
            text("there was room\n")
        }
        "add" => text(&format!("{}\n", add(argument)?)),
        "add-and-fail" => {
            add(argument)?;
            Err(Failure::new("asked", "after the change"))
        }
        // The change is made, and the answer is none that can be sent.
        "add-and-break" => {
            add(argument)?;
            Ok(Response::new(1, ""))
        }
        "get" => text(&state::get_string(argument)?.unwrap_or_default()),
        "config" => text(&config::get(argument).unwrap_or_default()),
        "context" => text(&format!("{:?} {}\n", context::input_id(), context::attempt())),
        "emit" => {
            transcript::emit_text("visited", argument)?;
            text("emitted\n")
        }
        "print" => {
            println!("out {argument}");
            eprintln!("err {argument}");
            text("printed\n")
        }
        _ => Ok(Response::text("no such command\n").status(404)),
    }
}

fn text(text: &str) -> Result<Response, Failure> {
    Ok(Response::text(text))
}

fn echo(request: Request) -> Result<Response, Failure> {
    let content_type = request.header("content-type").map(str::to_owned);
    let response = Response::new(200, request.body);
    Ok(match content_type {
        Some(content_type) => response.header("content-type", content_type),
        None => response,
    })
}

/// Adds one to a number in the state.
fn add(key: &str) -> Result<u64, Failure> {
    let before = state::get_string(key)?.unwrap_or_default();
    let number = before.parse().unwrap_or(0) + 1;
    state::set(key, number.to_string())?;
    Ok(number)
}

fn shown_headers(request: &Request) -> String {
    let shown =
        |(name, value): &(String, Vec<u8>)| format!("{name}: {}\n", String::from_utf8_lossy(value));
    let mut lines: Vec<_> = request.headers.iter().map(shown).collect();
    lines.sort();
    lines.concat()
}
