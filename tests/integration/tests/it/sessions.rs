//! A browser's session on the built program.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::served::{Served, Serves, prepared};

/// Sends one request and returns the whole answer.
fn ask(host: &Served, head: &str, body: &str) -> String {
    let address = host.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        socket,
        "{head}\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn me(host: &Served, cookie: &str) -> String {
    ask(host, &format!("GET /api/me HTTP/1.1\r\nCookie: {cookie}"), "")
}

fn skep(arguments: &[&str], dir: &Path) -> String {
    let mut command = Command::new(skep_harness::skep());
    let output = command.args(arguments).arg("--store").arg(dir.join("store")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Logs in and returns the cookie.
fn log_in(host: &Served, token: &str) -> String {
    let login = format!("{{\"token\":\"{token}\"}}");
    let answer = ask(host, "POST /api/login HTTP/1.1", &login);
    let (_, cookie) = answer.split_once("set-cookie: ").expect(&answer);
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn a_session_is_valid_after_the_host_was_killed() {
    let dir = prepared();
    let mut host = Served::start(Serves::Up, &dir);
    let token = skep(&["token", "create", "--role", "viewer", "--name", "laptop"], &dir);
    let cookie = log_in(&host, &token);
    let answer = me(&host, &cookie);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The moment after the answer, as a power cut would.
    host.kill();

    let mut host = Served::start(Serves::Up, &dir);
    let answer = me(&host, &cookie);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"viewer\""), "{answer}");
    // The token of the process itself starts no session, which would outlive it.
    let own = ask(&host, "POST /api/login HTTP/1.1", &format!("{{\"token\":\"{}\"}}", host.token));
    assert!(own.starts_with("HTTP/1.1 401 "), "{own}");
    host.kill();

    // Revoked while no host runs.
    let id = token.split('_').nth(1).unwrap();
    skep(&["token", "revoke", id], &dir);
    let host = Served::start(Serves::Up, &dir);
    let answer = me(&host, &cookie);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[test]
fn a_session_is_listed_and_ended_on_the_command_line() {
    let dir = prepared();
    let host = Served::start(Serves::Up, &dir);
    let token = skep(&["token", "create", "--role", "viewer"], &dir);
    let cookie = log_in(&host, &token);
    let listed = skep(&["session", "list", "--output", "json"], &dir);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let sessions = listed["items"].as_array().unwrap();
    assert_eq!((sessions.len(), &sessions[0]["role"]), (1, &"viewer".into()));
    let id = sessions[0]["session_id"].as_str().unwrap();
    assert!(skep(&["session", "list"], &dir).contains(id));
    skep(&["session", "end", id], &dir);
    assert!(me(&host, &cookie).starts_with("HTTP/1.1 401 "));
    let mut command = Command::new(skep_harness::skep());
    let again = command.args(["session", "end", id, "--store"]).arg(dir.join("store"));
    let said = again.output().unwrap();
    assert_eq!(said.status.code(), Some(125), "{said:?}");
}
