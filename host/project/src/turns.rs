//! A test of turns: inputs for the real component, and the outcomes that they should have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::error::ProjectError;

/// A file of `tests/`. Its turns go to one new worker, in order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnFile {
    /// Values of the config bundle, in place of the manifest's values of the same names.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// The turns.
    pub turns: Vec<TestTurn>,
}

/// One input and its expectation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestTurn {
    /// The body of the input: text, or any other JSON value.
    #[serde(default)]
    pub input: Value,
    /// The media type. The default is that of text or of JSON.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Arguments, for a command.
    #[serde(default)]
    pub args: Vec<String>,
    /// What should come of it. Keys that are absent are not compared.
    #[serde(default)]
    pub expect: Expect,
}

/// What should come of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// `completed` (the default), `failed`, `trapped`, `deadline` or `limit`.
    pub outcome: Option<String>,
    /// The body of the answer: text, or any other JSON value, which is compared as JSON.
    pub body: Option<Value>,
    /// The media type of the answer.
    pub content_type: Option<String>,
    /// The code of a failure.
    pub code: Option<String>,
    /// Text that the message of a failure contains.
    pub message: Option<String>,
    /// The exit code of a command.
    pub exit_code: Option<u8>,
    /// The standard output of a command.
    pub stdout: Option<String>,
    /// All events of the turn, in order: kind and body.
    pub events: Option<Vec<ExpectedEvent>>,
    /// Keys of the state after the turn, with their values as text; `null` for a key that must not
    /// exist.
    pub state: BTreeMap<String, Option<String>>,
    /// Lines that the turn printed contain these texts.
    pub logs: Vec<String>,
}

/// An event that a turn should emit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedEvent {
    /// The worker's own kind of event.
    pub kind: String,
    /// The body as text, if it is compared.
    #[serde(default)]
    pub body: Option<String>,
}

/// What came of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// The ending.
    pub outcome: String,
    /// The answer's body, or a command's standard output.
    pub body: Vec<u8>,
    /// The answer's media type.
    pub content_type: Option<String>,
    /// The code and message of a failure.
    pub error: Option<(String, String)>,
    /// The exit code of a command.
    pub exit_code: Option<u8>,
    /// The events: kind and body.
    pub events: Vec<(String, Vec<u8>)>,
    /// The values of the keys that the expectation names.
    pub state: BTreeMap<String, Option<Vec<u8>>>,
    /// The lines that the turn printed.
    pub logs: Vec<String>,
}

/// A difference between an expectation and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The key of the expectation.
    pub what: String,
    /// The expected value.
    pub expected: String,
    /// The value that came.
    pub actual: String,
}

/// Returns the JSON Schema of a file of test turns.
pub fn test_schema() -> Value {
    schemars::schema_for!(TurnFile).to_value()
}

impl TurnFile {
    /// Reads a file.
    ///
    /// # Errors
    /// `invalid_test` with the file, line and column, and `io`.
    pub fn read(path: &Path) -> Result<Self, ProjectError> {
        let text = fs::read_to_string(path).map_err(ProjectError::file("read", path))?;
        let file: Self = serde_json::from_str(&text).map_err(|error| {
            let place = format!("{}:{}:{}", path.display(), error.line(), error.column());
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            ProjectError::new("invalid_test", format!("{place}: {message}"))
                .hint("a test is {\"turns\": [{\"input\": …, \"expect\": {…}}]}")
        })?;
        if file.turns.is_empty() {
            let message = format!("{}: there is no turn in it", path.display());
            return Err(ProjectError::new("invalid_test", message));
        }
        Ok(file)
    }
}

impl TestTurn {
    /// Returns the body and media type of the input.
    pub fn payload(&self) -> (Vec<u8>, String) {
        let (body, default) = match &self.input {
            Value::Null => (Vec::new(), "text/plain; charset=utf-8"),
            Value::String(text) => (text.clone().into_bytes(), "text/plain; charset=utf-8"),
            value => (value.to_string().into_bytes(), "application/json"),
        };
        (body, self.content_type.clone().unwrap_or_else(|| default.to_owned()))
    }
}

impl Expect {
    /// Compares what came with this expectation.
    pub fn compare(&self, actual: &Actual) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut expect = |what: &str, expected: String, actual: String| {
            if expected != actual {
                found.push(Mismatch { what: what.to_owned(), expected, actual });
            }
        };
        let default = if self.code.is_some() { "failed" } else { "completed" };
        let said = actual.error.as_ref().map(|(code, message)| format!(" ({code}: {message})"));
        let outcome = self.outcome.as_deref().unwrap_or(default);
        if outcome != actual.outcome {
            let actual = format!("{}{}", actual.outcome, said.unwrap_or_default());
            expect("outcome", outcome.to_owned(), actual);
        }
        match &self.body {
            None => {}
            Some(Value::String(text)) => expect("body", text.clone(), shown(&actual.body)),
            Some(value) => {
                let parsed = serde_json::from_slice::<Value>(&actual.body);
                let actual = parsed.map_or_else(|_| shown(&actual.body), |it| it.to_string());
                expect("body", value.to_string(), actual);
            }
        }
        if let Some(content_type) = &self.content_type {
            let actual = actual.content_type.clone().unwrap_or_default();
            expect("content_type", content_type.clone(), actual);
        }
        let (code, message) = actual.error.clone().unwrap_or_default();
        if let Some(expected) = &self.code {
            expect("code", expected.clone(), code);
        }
        if let Some(expected) = self.message.as_ref().filter(|text| !message.contains(*text)) {
            expect("message", format!("…{expected}…"), message);
        }
        if let Some(expected) = self.exit_code {
            let actual = actual.exit_code.map_or_else(|| "none".into(), |code| code.to_string());
            expect("exit_code", expected.to_string(), actual);
        }
        if let Some(expected) = &self.stdout {
            expect("stdout", expected.clone(), shown(&actual.body));
        }
        if let Some(expected) = &self.events {
            self.compare_events(expected, actual, &mut expect);
        }
        for (key, value) in &self.state {
            let none = || "no such key".to_owned();
            let actual = actual.state.get(key).cloned().flatten();
            let actual = actual.map_or_else(none, |value| shown(&value));
            expect(&format!("state.{key}"), value.clone().unwrap_or_else(none), actual);
        }
        for expected in &self.logs {
            if !actual.logs.iter().any(|line| line.contains(expected)) {
                expect("logs", format!("…{expected}…"), actual.logs.join("\n"));
            }
        }
        found
    }

    fn compare_events(
        &self,
        expected: &[ExpectedEvent],
        actual: &Actual,
        expect: &mut impl FnMut(&str, String, String),
    ) {
        let event = |kind: &str, body: Option<String>| match body {
            Some(body) => format!("{kind}: {body}"),
            None => kind.to_owned(),
        };
        let came = actual.events.iter().enumerate().map(|(at, (kind, body))| {
            // A body that is not compared is not shown either.
            let compared = expected.get(at).is_none_or(|expected| expected.body.is_some());
            event(kind, compared.then(|| shown(body)))
        });
        let came: Vec<_> = came.collect();
        let expected: Vec<_> = expected.iter().map(|it| event(&it.kind, it.body.clone())).collect();
        expect("events", expected.join("\n"), came.join("\n"));
    }
}

/// Returns bytes as text, or their number where they are not text.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{} bytes that are not text", bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(text: &str) -> TestTurn {
        serde_json::from_str(text).unwrap()
    }

    fn completed(body: &str) -> Actual {
        Actual { outcome: "completed".into(), body: body.into(), ..Actual::default() }
    }

    #[test]
    fn what_is_not_named_is_not_compared() {
        assert_eq!(turn(r#"{"input": "x"}"#).expect.compare(&completed("7")), []);
        let failed = Actual {
            outcome: "failed".into(),
            error: Some(("bad".into(), "no".into())),
            ..Actual::default()
        };
        let found = turn(r#"{"input": "x"}"#).expect.compare(&failed);
        assert_eq!(found[0].actual, "failed (bad: no)");
        assert_eq!(turn(r#"{"expect": {"code": "bad"}}"#).expect.compare(&failed), []);
    }

    #[test]
    fn every_difference_is_reported() {
        let turn = turn(
            r#"{"expect": {"body": {"a": 1}, "content_type": "application/json",
                "events": [{"kind": "counted", "body": "1"}], "logs": ["hello"],
                "state": {"count": "1", "old": null}}}"#,
        );
        let mut actual = completed(r#"{ "a": 1 }"#);
        actual.content_type = Some("application/json".into());
        actual.events = vec![("counted".into(), b"1".to_vec())];
        actual.state = BTreeMap::from([("count".into(), Some(b"1".to_vec()))]);
        actual.logs = vec!["well, hello".into()];
        assert_eq!(turn.expect.compare(&actual), []);
        let found = turn.expect.compare(&completed("{}"));
        let found: Vec<_> = found.iter().map(|it| it.what.as_str()).collect();
        assert_eq!(found, ["body", "content_type", "events", "state.count", "logs"]);
    }

    #[test]
    fn json_and_text_are_sent_with_their_own_media_types() {
        assert_eq!(turn(r#"{"input": {"a": 1}}"#).payload().1, "application/json");
        assert_eq!(
            turn(r#"{"input": "a"}"#).payload(),
            (b"a".to_vec(), "text/plain; charset=utf-8".into())
        );
        assert_eq!(turn(r#"{"input": "a", "content_type": "x/y"}"#).payload().1, "x/y");
    }

    #[test]
    fn a_malformed_file_names_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        fs::write(&path, "{\"turns\": [{\n\"inptu\": 1}]}").unwrap();
        let error = TurnFile::read(&path).unwrap_err();
        assert!(error.message.contains("a.json:2:"), "{error}");
        assert!(error.message.contains("unknown field `inptu`"), "{error}");
    }
}
