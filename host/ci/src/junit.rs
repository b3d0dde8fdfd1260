//! JUnit reports: counted from a guest's file, and written for a run.
//!
//! A guest wrote the report, so it has bounds and no entities: a document type is refused before
//! anything is expanded.

use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::result::{RunResult, StepOutcome, TestCounts, TestFailure};

/// Maximum size of a report.
pub(crate) const MOST_BYTES: u64 = 10 << 20;

/// Maximum number of test cases.
const MOST_CASES: u64 = 100_000;

/// Maximum depth of elements.
const DEPTH: usize = 64;

/// Maximum number of failures that are kept.
const MOST_FAILURES: usize = 10;

/// Maximum characters of a kept text.
const TEXT: usize = 300;

/// The reason that a report is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JunitError {
    /// It is malformed.
    #[error("{0}")]
    Malformed(String),
    /// It has a document type, which can define entities.
    #[error("it has a document type, which is not allowed")]
    DocumentType,
    /// It has too many cases.
    #[error("it has over {MOST_CASES} test cases")]
    TooMany,
    /// It is no JUnit report.
    #[error("it has no <testsuites> or <testsuite>")]
    NoReport,
}

/// One test case while it is read.
#[derive(Default)]
struct Case {
    name: String,
    file: Option<String>,
    line: Option<u64>,
    failure: Option<String>,
    skipped: bool,
    rerun: bool,
}

/// Counts the cases of a report.
///
/// # Errors
/// If it is malformed, too large or has a document type.
pub(crate) fn counts(report: &[u8]) -> Result<TestCounts, JunitError> {
    let mut reader = Reader::from_reader(report);
    let mut counts = TestCounts::default();
    let mut case: Option<Case> = None;
    let (mut depth, mut cases, mut is_report) = (0usize, 0u64, false);
    loop {
        let event = reader.read_event();
        let event = event.map_err(|error| JunitError::Malformed(error.to_string()))?;
        let (element, is_empty) = match &event {
            Event::DocType(_) => return Err(JunitError::DocumentType),
            Event::Eof => break,
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                if end.local_name().as_ref() == b"testcase" {
                    case.take().into_iter().for_each(|case| add(&mut counts, case));
                }
                continue;
            }
            _ => continue,
        };
        depth += usize::from(!is_empty);
        if depth > DEPTH {
            return Err(JunitError::Malformed("its elements are nested too deep".into()));
        }
        match element.local_name().as_ref() {
            b"testsuites" | b"testsuite" => is_report = true,
            b"testcase" => {
                cases += 1;
                if cases > MOST_CASES {
                    return Err(JunitError::TooMany);
                }
                let new = read_case(element);
                match is_empty {
                    true => add(&mut counts, new),
                    false => case = Some(new),
                }
            }
            b"failure" | b"error" => {
                if let Some(case) = &mut case {
                    case.failure = Some(attribute(element, "message").unwrap_or_default());
                }
            }
            b"skipped" => case.iter_mut().for_each(|case| case.skipped = true),
            b"rerunFailure" | b"rerunError" | b"flakyFailure" | b"flakyError" => {
                case.iter_mut().for_each(|case| case.rerun = true);
            }
            _ => {}
        }
    }
    match is_report && depth == 0 {
        true => Ok(counts),
        false if is_report => Err(JunitError::Malformed("it ends within an element".into())),
        false => Err(JunitError::NoReport),
    }
}

fn add(counts: &mut TestCounts, case: Case) {
    match case.failure {
        Some(message) => {
            counts.failed += 1;
            if counts.failures.len() < MOST_FAILURES {
                let Case { name, file, line, .. } = case;
                counts.failures.push(TestFailure { name, message, file, line });
            }
        }
        None if case.skipped => counts.skipped += 1,
        None => {
            counts.passed += 1;
            counts.flaky += u64::from(case.rerun);
        }
    }
}

fn read_case(element: &BytesStart<'_>) -> Case {
    let name = attribute(element, "name").unwrap_or_default();
    let name = match attribute(element, "classname").filter(|class| !class.is_empty()) {
        Some(class) => format!("{class}.{name}"),
        None => name,
    };
    let line = attribute(element, "line").and_then(|line| line.parse().ok());
    Case { name, file: attribute(element, "file"), line, ..Case::default() }
}

/// Returns the value of an attribute, cut. Only the five entities of XML exist.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok()??;
    let value = found.unescape_value().ok()?;
    Some(skep_protocol::text::brief(&value, TEXT).into_owned())
}

/// Writes the report of a run: a suite for each step name and a case for each step.
pub fn report(run: &RunResult) -> String {
    let failed = run.steps.iter().filter(|step| step.fails_run()).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let seconds = run.wall_ms / 1e3;
    let count = run.steps.len();
    let _ = writeln!(
        out,
        "<testsuites name=\"skep ci\" tests=\"{count}\" failures=\"{failed}\" time=\"{seconds:.3}\">"
    );
    let mut names: Vec<&str> = run.steps.iter().map(|step| step.name.as_str()).collect();
    names.dedup();
    for name in names {
        let steps = run.steps.iter().filter(|step| step.name == name);
        let _ = writeln!(out, "  <testsuite name=\"{}\">", escaped(name));
        for step in steps {
            let seconds = step.timing.run_ms / 1e3;
            let head = format!(
                "    <testcase name=\"{}\" classname=\"{}\" time=\"{seconds:.3}\"",
                escaped(&step.id),
                escaped(&step.name)
            );
            let message = escaped(step.message.as_deref().unwrap_or_default());
            let kind = step.outcome.as_str();
            let _ = match step.outcome {
                StepOutcome::Skipped => {
                    writeln!(out, "{head}><skipped message=\"{message}\"/></testcase>")
                }
                _ if !step.as_expected => writeln!(
                    out,
                    "{head}><failure type=\"{kind}\" message=\"{message}\"/></testcase>"
                ),
                _ if step.tests.as_ref().is_some_and(|tests| tests.flaky > 0) => {
                    writeln!(out, "{head}><flakyFailure type=\"{kind}\"/></testcase>")
                }
                _ => writeln!(out, "{head}/>"),
            };
        }
        out += "  </testsuite>\n";
    }
    out + "</testsuites>\n"
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let text = text.replace('"', "&quot;");
    // XML 1.0 has no way to write other control characters.
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted() {
        let report = br#"<?xml version="1.0"?>
<testsuites><testsuite name="s">
<testcase classname="t.C" name="ok"/>
<testcase classname="t.C" name="bad" file="t.py" line="3"><failure message="1 &lt; 2">x</failure></testcase>
<testcase name="err"><error/></testcase>
<testcase name="skip"><skipped/></testcase>
<testcase name="flaky"><flakyFailure/></testcase>
</testsuite></testsuites>"#;
        let counts = counts(report).unwrap();
        assert_eq!((counts.passed, counts.failed, counts.skipped, counts.flaky), (2, 2, 1, 1));
        let first = &counts.failures[0];
        assert_eq!((first.name.as_str(), first.message.as_str()), ("t.C.bad", "1 < 2"));
        assert_eq!((first.file.as_deref(), first.line), (Some("t.py"), Some(3)));
    }

    #[test]
    fn entity_bombs_deep_and_endless_reports_are_refused() {
        let bomb = br#"<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><testsuite name="&c;"/>"#;
        assert!(matches!(counts(bomb), Err(JunitError::DocumentType)));
        let deep = "<testsuite>".repeat(100_000);
        assert!(counts(deep.as_bytes()).is_err());
        let many = format!("<testsuite>{}</testsuite>", "<testcase/>".repeat(100_001));
        assert!(matches!(counts(many.as_bytes()), Err(JunitError::TooMany)));
        for bad in ["", "<a/>", "<testsuite>", "not xml", "<testsuite", "{}"] {
            assert!(counts(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
