//! A transcript entry as one line of text.

use skep_protocol::text::neutral;
use skep_protocol::{
    AccessRecord, CompileRecord, ComponentDigest, ConfigDigest, Denial, Entry, EntryKind, Grants,
    RequestRecord, VersionChange,
};

/// Returns the line of an entry.
pub(super) fn line(entry: &Entry) -> String {
    let mut line = format!("{:>6}  {}  {}", entry.seq, entry.at, entry.kind.as_str());
    let content = content(entry);
    // The content of a request includes its label.
    let repeats_label = content.is_some() && entry.kind == EntryKind::Request;
    let label = entry.label.as_deref().filter(|_| !repeats_label);
    if let Some(label) = label {
        line.push_str(&format!(" {}", neutral(label)));
    }
    if let Some(ending) = entry.ending {
        line.push_str(&format!(" {}", ending.as_str()));
    }
    match (content, str::from_utf8(&entry.payload.body)) {
        (Some(content), _) => line.push_str(&format!(": {}", neutral(&content))),
        (None, Ok("")) => {}
        (None, Ok(text)) => line.push_str(&format!(": {}", neutral(text))),
        (None, Err(_)) => {
            let (length, kind) = (entry.payload.body.len(), neutral(&entry.payload.content_type));
            line.push_str(&format!(": {length} bytes of {kind}"));
        }
    }
    if entry.truncated {
        line.push_str(" (truncated)");
    }
    line
}

/// Returns the JSON body of an entry that Skep wrote, as text.
fn content(entry: &Entry) -> Option<String> {
    let body = &entry.payload.body;
    match entry.kind {
        EntryKind::Denied => serde_json::from_slice(body).ok().map(|it| denial(&it)),
        EntryKind::Request => serde_json::from_slice(body).ok().map(|it| request(&it)),
        EntryKind::Access => serde_json::from_slice(body).ok().map(|it| access(&it)),
        EntryKind::Updated if entry.label.as_deref() == Some("grants") => {
            serde_json::from_slice(body).ok().map(|it| granted(&it))
        }
        EntryKind::Updated | EntryKind::RolledBack => {
            serde_json::from_slice(body).ok().map(|it| switched(&it))
        }
        EntryKind::Compiled => serde_json::from_slice(body).ok().map(|it| compiled(&it)),
        _ => None,
    }
}

/// Returns the text of an entry of kind `access`, with its reason.
pub(crate) fn accessed(entry: &Entry) -> String {
    let reason = entry.label.as_deref().unwrap_or_default();
    let text = content(entry).unwrap_or_default();
    neutral(&format!("{reason}: {text}")).to_string()
}

/// Returns the text of a request that was not answered whole.
fn access(record: &AccessRecord) -> String {
    let AccessRecord { method, target, status, wall_ms, limit, trap, failure, others, .. } = record;
    let mut text = format!("{method} {target} {status}, {wall_ms} ms");
    if let Some(limit) = limit {
        text.push_str(&format!(", limit {limit}"));
    }
    for why in [trap, failure].into_iter().flatten() {
        text.push_str(&format!(", {why}"));
    }
    if *others > 0 {
        text.push_str(&format!("; {others} more since the last entry"));
    }
    text
}

/// Returns the text of a denial, with the command that allows it if there is one.
pub(super) fn denied(entry: &Entry, command: impl Fn(&Denial) -> Option<String>) -> String {
    let denial: Denial = serde_json::from_slice(&entry.payload.body).unwrap_or_default();
    let wanted = denial.wanted.as_deref().or(entry.label.as_deref()).unwrap_or_default();
    let text = match command(&denial) {
        Some(command) => format!("{wanted}; `{command}` allows it"),
        None => wanted.to_owned(),
    };
    neutral(&text).to_string()
}

fn denial(denial: &Denial) -> String {
    let wanted = denial.wanted.as_deref().unwrap_or("no grant");
    match denial.grant.as_ref().filter(|grants| !grants.is_empty()) {
        Some(grants) => format!("{wanted} (grant {} allows it)", grants.flags()),
        None => wanted.to_owned(),
    }
}

fn request(request: &RequestRecord) -> String {
    let RequestRecord { method, scheme, host, port, .. } = request;
    let bare = *port == scheme.port();
    let port = if bare { String::new() } else { format!(":{port}") };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let mut text = format!("{method} {scheme}://{host}{port}");
    if let Some(status) = request.status {
        text.push_str(&format!(" {status}"));
    }
    if let Some(error) = &request.error {
        text.push_str(&format!(" {error}"));
    }
    let (sent, received) = (request.sent_bytes, request.received_bytes);
    format!("{text}, {sent} bytes sent, {received} received, {} ms", request.wall_ms)
}

fn granted(grants: &Grants) -> String {
    let grants = grants.words().into_iter().map(|(kind, what)| format!("{kind} {what}"));
    let grants: Vec<_> = grants.collect();
    if grants.is_empty() { "none".into() } else { grants.join(", ") }
}

fn switched(VersionChange { from, to }: &VersionChange) -> String {
    let component = |digest: ComponentDigest| shortened(&digest.hex());
    let config = |digest: Option<ConfigDigest>| match digest {
        Some(digest) => shortened(&digest.hex()),
        None => "none".into(),
    };
    let mut parts = Vec::new();
    if from.component != to.component {
        let (from, to) = (component(from.component), component(to.component));
        parts.push(format!("component {from} -> {to}"));
    }
    if from.config != to.config {
        parts.push(format!("config {} -> {}", config(from.config), config(to.config)));
    }
    parts.join(", ")
}

fn compiled(record: &CompileRecord) -> String {
    let CompileRecord { component, wait_ms, compile_ms, compiled_bytes, cached } = record;
    let component = shortened(&component.hex());
    let took = match (cached, compile_ms) {
        (false, Some(compile_ms)) => format!("compiled in {compile_ms} ms"),
        (false, None) => "compiled".into(),
        (true, _) => "from the cache".into(),
    };
    format!("{component} {took}, {compiled_bytes} bytes; the turn waited {wait_ms} ms")
}

/// Returns the start of a digest, long enough to tell components apart.
pub(super) fn shortened(hex: &str) -> String {
    format!("sha256:{}…", &hex[..hex.len().min(12)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: &str, label: Option<&str>, body: &str) -> String {
        let mut entry = serde_json::json!({ "seq": 7, "at": "2026-11-21T10:00:00.000Z",
            "kind": kind, "content_type": "application/json", "body": body });
        if let Some(label) = label {
            entry["label"] = label.into();
        }
        let line = line(&serde_json::from_value(entry).unwrap());
        line.split_once("Z  ").unwrap().1.to_owned()
    }

    #[test]
    fn a_denial_names_the_grant_that_allows_it() {
        let http = "wasi:http/outgoing-handler";
        let body = r#"{"wanted":"GET https://a.b","grant":{"scopes":[],"http":[{"scheme":"https",
            "host":"*.b","methods":["GET"]}]}}"#;
        assert_eq!(
            text("denied", Some(http), body),
            format!("denied {http}: GET https://a.b (grant --http 'GET https://*.b' allows it)")
        );
        assert_eq!(text("denied", Some("wasi:sockets/tcp"), ""), "denied wasi:sockets/tcp");
    }

    #[test]
    fn a_denial_in_the_logs_names_the_command_that_allows_it() {
        let entry = |body: &str| -> Entry {
            let entry = serde_json::json!({ "seq": 7, "at": "2026-11-21T10:00:00.000Z",
                "kind": "denied", "label": "wasi:http/outgoing-handler",
                "content_type": "application/json", "body": body });
            serde_json::from_value(entry).unwrap()
        };
        let text = |body| denied(&entry(body), |it| it.grant.as_ref().map(Grants::flags));
        let body = r#"{"wanted":"GET https://a.\u001b[2Jb","grant":{"scopes":[],"http":[
            {"scheme":"https","host":"a.b"}]}}"#;
        assert_eq!(text(body), r"GET https://a.\u{1b}[2Jb; `--http https://a.b` allows it");
        assert_eq!(text(r#"{"wanted":"GET x, which is no host"}"#), "GET x, which is no host");
        assert_eq!(text(""), "wasi:http/outgoing-handler");
    }

    #[test]
    fn a_request_is_shown_with_its_result() {
        let body = r#"{"method":"GET","scheme":"https","host":"a.b","port":443,"status":200,
            "sent_bytes":0,"received_bytes":512,"wall_ms":35}"#;
        let expected = "request: GET https://a.b 200, 0 bytes sent, 512 received, 35 ms";
        assert_eq!(text("request", Some("GET a.b"), body), expected);
        let body = r#"{"method":"PUT","scheme":"http","host":"::1","port":81,
            "sent_bytes":9,"received_bytes":0,"wall_ms":1,"error":"connection-refused"}"#;
        let expected =
            "request: PUT http://[::1]:81 connection-refused, 9 bytes sent, 0 received, 1 ms";
        assert_eq!(text("request", Some("PUT ::1"), body), expected);
    }

    #[test]
    fn changed_grants_are_listed() {
        let body = r#"{"scopes":[{"name":"a","guest":"/a","rights":"ro"}],"secrets":["key"]}"#;
        let expected = "updated grants: scope a::/a:ro, secret key";
        assert_eq!(text("updated", Some("grants"), body), expected);
        assert_eq!(text("updated", Some("grants"), r#"{"scopes":[]}"#), "updated grants: none");
        assert_eq!(text("updated", None, ""), "updated");
    }

    #[test]
    fn a_switch_names_what_changed() {
        let (old, new) = ("ab".repeat(32), "cd".repeat(32));
        let body = |from: &str, to: &str| {
            format!(
                r#"{{"from":{{"component":"sha256:{old}","config":{from}}},
                "to":{{"component":"sha256:{new}","config":{to}}}}}"#
            )
        };
        let component = "component sha256:abababababab… -> sha256:cdcdcdcdcdcd…";
        let text = |kind, body: &str| text(kind, None, body);
        assert_eq!(text("updated", &body("null", "null")), format!("updated: {component}"));
        assert_eq!(text("rolled_back", &body("null", "null")), format!("rolled_back: {component}"));
        let config = format!("\"sha256:{old}\"");
        assert_eq!(
            text("updated", &body("null", &config)),
            format!("updated: {component}, config none -> sha256:abababababab…")
        );
    }

    #[test]
    fn a_compilation_is_shown_with_its_time() {
        let digest = "ab".repeat(32);
        let body = |cached: bool| {
            format!(
                r#"{{"component":"sha256:{digest}","wait_ms":2610,"compile_ms":2600,
                "compiled_bytes":5123456,"cached":{cached}}}"#
            )
        };
        assert_eq!(
            text("compiled", None, &body(false)),
            "compiled: sha256:abababababab… compiled in 2600 ms, 5123456 bytes; the turn waited \
             2610 ms"
        );
        assert_eq!(
            text("compiled", None, &body(true)),
            "compiled: sha256:abababababab… from the cache, 5123456 bytes; the turn waited 2610 ms"
        );
    }

    #[test]
    fn a_guests_event_is_shown_with_controls_escaped() {
        assert_eq!(text("event", Some("a\u{7}b"), "{\u{1b}}"), r"event a\u{7}b: {\u{1b}}");
    }
}
