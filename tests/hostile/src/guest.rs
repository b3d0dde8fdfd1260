//! The guests under test: built ones, those written as text, and the inputs that they get.

use std::path::PathBuf;

use skep_protocol::Payload;
use skep_protocol::input::RUN_REQUEST;

/// Returns the path of a guest. All guests are built before the first case.
pub(crate) fn built(name: &str) -> PathBuf {
    let path = xtask::guests::folder().join(name).with_extension("wasm");
    assert!(path.is_file(), "there is no {}", path.display());
    path
}

/// Reads a guest of `tests/guests/hostile/wat`.
pub(crate) fn text(name: &str) -> String {
    let folder = skep_harness::root().join("tests/guests/hostile/wat");
    std::fs::read_to_string(folder.join(name).with_extension("wat")).unwrap()
}

/// Makes a text input for a service.
pub fn message(text: &str) -> Payload {
    Payload { content_type: "text/plain".into(), body: text.to_owned().into() }
}

/// Makes a run request for a command.
pub fn run_request(args: &[&str]) -> Payload {
    let body = serde_json::json!({ "args": args }).to_string().into_bytes();
    Payload { content_type: RUN_REQUEST.into(), body: body.into() }
}
