//! The complete list of free-text fields in responses. None of them can hold a location or a
//! secret.

use std::collections::BTreeSet;

use serde_json::Value;

/// Free-text fields by schema and property, with the origin of the text.
const TEXTS: &[(&str, &str, &str)] = &[
    ("AuditEntry", "action", "one of our codes"),
    ("AuditEntry", "outcome", "one of our codes"),
    ("AuditedStep", "id", "the pipeline's"),
    ("CachedFrom", "from_run", "a run"),
    ("CiRunSummary", "executor", "`local`, or a runtime"),
    ("DenialResult", "interface", "an interface of ours"),
    ("DenialResult", "wanted", "the guest's, within the guest"),
    ("HostFacts", "executor", "`local`, or a runtime"),
    ("HostFacts", "version", "our version"),
    ("LogRecord", "base64", "the guest's"),
    ("LogRecord", "text", "the guest's"),
    ("OutputResult", "digest", "a digest"),
    ("OutputResult", "path", "the guest's, below its output directory"),
    ("OutputsResult", "absent", "the pipeline's"),
    ("OutputsResult", "tree", "a digest"),
    ("RunResult", "pipeline_digest", "a digest"),
    ("RunResult", "run_id", "a run"),
    ("StepExplanation", "action", "a digest"),
    ("StepExplanation", "changes", "our text, with the pipeline's names and values"),
    ("StepExplanation", "earlier_changes", "our text, with the pipeline's names and values"),
    ("StepExplanation", "earlier_run", "a run"),
    ("StepExplanation", "id", "the pipeline's"),
    ("StepExplanation", "last_run", "a run"),
    ("StepExplanation", "note", "our text"),
    ("StepResult", "*", "the pipeline's, or names of the project's files"),
    ("StepResult", "action", "a digest"),
    ("StepResult", "component", "a digest"),
    ("StepResult", "id", "the pipeline's, or names of the project's files"),
    ("StepResult", "input_root", "a digest"),
    ("StepResult", "limits_met", "one of our codes"),
    ("StepResult", "message", "our text, with the pipeline's names; never a fault of the host"),
    ("StepResult", "name", "the pipeline's"),
    ("StepResult", "needs", "the pipeline's, or names of the project's files"),
    ("StepResult", "tool", "the pipeline's"),
    ("StreamResult", "digest", "a digest"),
    ("TestFailure", "file", "the guest's"),
    ("TestFailure", "message", "the guest's"),
    ("TestFailure", "name", "the guest's"),
    ("Change", "cursor", "a cursor"),
    ("CreatedToken", "token", "the new token, to the admin who creates it"),
    ("ComponentCheck", "exports", "the component's"),
    ("ComponentRefusal", "code", "one of our codes"),
    ("ComponentRefusal", "detail", "our text, with the component's names"),
    ("ComponentView", "exports", "the component's"),
    ("ComponentView", "imports", "the component's"),
    ("ConfigValues", "*", "the caller's"),
    ("Denial", "wanted", "a method and an origin, the guest's"),
    ("Diagnostic", "message", "our text; from a guest, at most a method and an origin"),
    ("DisplayRef", "", "the caller's"),
    ("Entry", "body", "the guest's or the caller's"),
    ("Entry", "body_base64", "the guest's or the caller's"),
    ("Entry", "content_type", "the guest's or the caller's"),
    ("Entry", "label", "the guest's, or one of our codes"),
    ("EntryPage", "next_cursor", "a number"),
    ("EntryPage", "prev_cursor", "a number"),
    ("FileListing", "next_cursor", "a cursor"),
    ("FileName", "", "the guest's or the caller's, below the worker's directory"),
    ("FleetChange", "cursor", "a cursor"),
    ("GuestPath", "", "the caller's, within the guest"),
    ("RoutePrefix", "", "an admin's: a host and a path of a site"),
    ("SiteName", "", "the operator's"),
    ("HostPattern", "", "the caller's, or the guest's: hosts that a worker may send requests to"),
    ("Labels", "*", "the caller's"),
    ("Listing", "next_cursor", "a cursor"),
    ("WorkerListing", "next_cursor", "a cursor"),
    ("Method", "", "the caller's, or the guest's"),
    ("Observed", "state", "one of our codes"),
    ("Payload", "body", "the guest's or the caller's"),
    ("Payload", "body_base64", "the guest's or the caller's"),
    ("Payload", "content_type", "the guest's or the caller's"),
    ("LimitView", "why", "our text"),
    ("ReadyEvent", "cursor", "a cursor"),
    ("SlimChange", "cursor", "a cursor"),
    ("FleetDiagnostic", "message", "our text; from a guest, at most a method and an origin"),
    ("WorkerRow", "state", "one of our codes"),
    ("Problem", "code", "one of our codes"),
    ("Problem", "detail", "our text, and for a malformed body its parser's message"),
    ("Problem", "reason", "one of our codes, or the component's names"),
    ("Problem", "subject", "an id or digest, the caller's"),
    ("Problem", "title", "our text"),
    ("ImportCheck", "have", "our version of an interface"),
    ("ImportCheck", "name", "the component's"),
    ("InputSummary", "content_type", "the caller's"),
    ("Problem", "type", "one of our codes"),
    ("RunOutput", "stderr", "the guest's"),
    ("RunOutput", "stderr_base64", "the guest's"),
    ("RunOutput", "stdout", "the guest's"),
    ("RunOutput", "stdout_base64", "the guest's"),
    ("RuntimeSummary", "version", "our version"),
    ("RuntimeView", "version", "our version"),
    ("ScopeName", "", "the operator's name for a directory"),
    ("SecretName", "", "the operator's name for a secret"),
    ("StateItem", "body", "the guest's"),
    ("StateItem", "body_base64", "the guest's"),
    ("StateItem", "content_type", "one of our codes"),
    ("StateItem", "key", "the guest's"),
    ("TokenName", "", "the caller's"),
    ("TurnError", "code", "the guest's, or one of our codes"),
    ("TurnError", "frames", "the guest's names"),
    ("TurnError", "message", "the guest's, or our text"),
    ("TurnError", "stderr", "the last lines that the guest printed"),
];

/// Words that no property name may contain.
const NEVER: [&str; 8] =
    ["path", "endpoint", "url", "socket", "secret", "password", "address", "dir"];

/// Properties with `token` in their name, beside `token_id`: the view that the audit has of a token,
/// and the only secret that an answer contains.
const PUBLIC: [(&str, &str); 2] = [("AuditedState", "token"), ("CreatedToken", "token")];

/// Collects the free-text fields of a schema.
fn texts(name: &str, property: &str, schema: &Value, found: &mut BTreeSet<(String, String)>) {
    let is_text = schema["type"] == "string"
        || schema["type"].as_array().is_some_and(|types| types.contains(&"string".into()));
    let has_form =
        ["enum", "pattern", "format", "const"].iter().any(|form| !schema[form].is_null());
    if is_text && !has_form {
        found.insert((name.to_owned(), property.to_owned()));
    }
    for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
        for never in NEVER {
            // The operator's name for a secret; a path below a step's output directory.
            let names = [("Need", "secret"), ("OutputResult", "path")];
            let is_name = names.contains(&(name, property.as_str()));
            let has = property.split('_').any(|word| word == never);
            assert!(is_name || !has, "{name} has {property}");
        }
        let is_public = property == "token_id" || PUBLIC.contains(&(name, property.as_str()));
        assert!(!property.contains("token") || is_public, "{name} has {property}");
        texts(name, property, schema, found);
    }
    for form in ["allOf", "anyOf", "oneOf"] {
        for schema in schema[form].as_array().into_iter().flatten() {
            texts(name, property, schema, found);
        }
    }
    texts_below(name, property, &schema["items"], found);
    texts_below(name, "*", &schema["additionalProperties"], found);
}

fn texts_below(name: &str, property: &str, schema: &Value, found: &mut BTreeSet<(String, String)>) {
    if schema.is_object() {
        texts(name, property, schema, found);
    }
}

#[test]
fn no_response_has_a_field_for_a_location_or_a_secret() {
    let document: Value = serde_json::from_str(&skep_api::openapi()).unwrap();
    let mut found = BTreeSet::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let name = if name.starts_with("ListingOf") { "Listing" } else { name };
        texts(name, "", schema, &mut found);
    }
    let known: BTreeSet<(String, String)> =
        TEXTS.iter().map(|(name, property, _)| ((*name).into(), (*property).into())).collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(
        new.is_empty(),
        "new free-text fields; add them with the origin of their text: {new:?}"
    );
    assert!(found.len() > 25, "the walk misses fields: {found:?}");
}
