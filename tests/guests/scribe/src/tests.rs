//! Tests of the commands, run natively.

use skep_guest::testing;

use super::*;

fn send(command: &str) -> Result<String, String> {
    testing::handle::<Scribe>(Input::text_plain(command))
        .map(|output| String::from_utf8(output.body).unwrap())
        .map_err(|failure| failure.to_string())
}

#[test]
fn a_value_is_kept_listed_and_removed() {
    send("set a/1 first value").unwrap();
    send("set a/2 x\n").unwrap();
    assert_eq!(send("get a/1").unwrap(), "first value");
    assert_eq!(send("list a/").unwrap(), "a/1\na/2");
    assert_eq!(send("del a/1").unwrap(), "true");
    assert_eq!(send("get a/1").unwrap_err(), "no-such-key: a/1");
}

#[test]
fn events_are_emitted_and_entries_read() {
    send("emit note some text").unwrap();
    assert_eq!(send("read 1 1").unwrap(), "2 event:note some text\nnext 2");
    send("emit-many 3").unwrap();
    assert_eq!(testing::events().len(), 4);
}

#[test]
fn files_are_kept_in_data() {
    send("save note.txt some text").unwrap();
    assert_eq!(send("load note.txt").unwrap(), "some text");
    assert!(send("load other.txt").unwrap_err().starts_with("io: "));
}

#[test]
fn whoami_returns_the_identity_and_connect_reason() {
    testing::set_config([("b", "2"), ("a", "1")]);
    testing::connected::<Scribe>(ConnectReason::Restart);
    assert_eq!(send("config").unwrap(), "a=1\nb=2");
    assert!(send("whoami").unwrap().contains("\nconnected restart\n"));
}

#[test]
fn an_unknown_command_is_a_bad_request() {
    assert_eq!(send("blob x").unwrap_err(), "bad-request: \"x\" is not a number");
    assert_eq!(send("dance").unwrap_err(), "bad-request: there is no verb \"dance\"");
    assert_eq!(send("fail some-code some text").unwrap_err(), "some-code: some text");
    assert_eq!(send("blob 3").unwrap(), "...");
    assert_eq!(send("echo a b").unwrap(), "a b");
}
