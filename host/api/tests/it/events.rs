//! Event streams.

use std::time::Duration;

use skep_api::{ServerLimits, Surface};
use skep_conformance::Guest;
use skep_protocol::Role;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::bed::Bed;
use crate::client::LONG;

/// A reader of one stream.
pub(crate) struct Reader(BufReader<TcpStream>);

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: serde_json::Value,
}

impl Reader {
    /// Opens a stream, with additional header lines.
    pub(crate) async fn open(bed: &Bed, path: &str, token: &str, header: &str) -> Self {
        let mut stream = TcpStream::connect(bed.addr).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n{header}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut reader = Self(BufReader::new(stream));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.0.read_line(&mut head).await.unwrap();
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        assert_eq!(reader.line().await.as_deref(), Some("retry: 2000"));
        assert_eq!(reader.line().await.as_deref(), Some(""));
        reader
    }

    /// Reads the next line of the stream, without HTTP/1.1 framing.
    async fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(LONG, self.0.read_line(&mut line)).await;
            if read.expect("the stream makes progress").ok()? == 0 || line == "0\r\n" {
                return None;
            }
            // Chunk sizes and ends of chunks have a carriage return; events have none.
            if !line.ends_with("\r\n") {
                line.pop();
                return Some(line);
            }
        }
    }

    /// Returns the next event; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let (mut id, mut name, mut data) = (None, None, None);
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("id", text)) => id = Some(text.to_owned()),
                Some(("event", text)) => name = Some(text.to_owned()),
                Some(("data", text)) => data = Some(serde_json::from_str(text).unwrap()),
                Some(_) => panic!("{line}"),
                None if line.is_empty() && name.is_some() => {
                    return Some(Event { id, name: name.unwrap(), data: data.unwrap() });
                }
                None => assert!(matches!(line.as_str(), "" | ":"), "{line}"),
            }
        }
    }
}

#[tokio::test]
async fn entries_come_in_order_and_resume_at_the_cursor() {
    for bed in [Bed::browser().await, Bed::runtime().await] {
        let worker = bed.worker(Guest::Scribe).await;
        let path = format!("{worker}/events");
        let mut fresh = Reader::open(&bed, &path, &bed.admin, "").await;
        bed.handle(&worker, "emit-many 20").await;
        let mut reader = Reader::open(&bed, &format!("{path}?after=0"), &bed.admin, "").await;
        let mut seen = Vec::new();
        loop {
            let event = reader.next().await.unwrap();
            assert_eq!(event.name, "entry");
            assert_eq!(event.id, Some(event.data["seq"].to_string()));
            let kind = event.data["kind"].as_str().unwrap().to_owned();
            seen.push(event);
            if kind == "output" {
                break;
            }
        }
        let seqs: Vec<_> = seen.iter().map(|event| event.data["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
        assert_eq!(seen.iter().filter(|event| event.data["kind"] == "event").count(), 20);

        let header = "last-event-id: 5\r\n";
        let mut back = Reader::open(&bed, &format!("{path}?after=1"), &bed.admin, header).await;
        assert_eq!(back.next().await.as_ref(), seen.get(5));
        let first = fresh.next().await.unwrap();
        assert!(first.data["seq"].as_u64().unwrap() > 1, "the stream starts at the end: {first:?}");

        bed.admin("DELETE", &worker).send().await.is(204);
        let last = loop {
            let event = back.next().await.unwrap();
            if event.name != "entry" {
                break event;
            }
        };
        assert_eq!((last.name.as_str(), &last.data), ("end", &serde_json::json!({})));
        assert_eq!(back.next().await, None);
    }
}

#[tokio::test]
async fn a_stream_that_cannot_start_is_a_problem() {
    let bed = Bed::browser().await;
    let none = bed.at("/workers/019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55/events");
    bed.admin("GET", &none).send().await.refused(404, "unknown_worker");
    bed.admin("GET", &bed.at("/changes?cursor=x")).send().await.refused(400, "invalid_request");
}

#[tokio::test]
async fn changes_of_a_runtime_start_with_its_current_state() {
    for bed in [Bed::browser().await, Bed::runtime().await] {
        let worker = bed.worker(Guest::Scribe).await;
        let mut reader = Reader::open(&bed, &bed.at("/changes"), &bed.admin, "").await;
        let first = reader.next().await.unwrap();
        assert_eq!(
            (first.name.as_str(), &first.id),
            ("change", &first.data["cursor"].as_str().map(Into::into))
        );
        assert!(worker.ends_with(first.data["worker_id"].as_str().unwrap()));
        bed.admin("DELETE", &worker).send().await.is(204);
        let gone = loop {
            let event = reader.next().await.unwrap();
            if event.name == "change" && event.data["worker"].is_null() {
                break event;
            }
        };
        let header = format!("last-event-id: {}\r\n", first.id.unwrap());
        let mut back = Reader::open(&bed, &bed.at("/changes"), &bed.admin, &header).await;
        let again = loop {
            let event = back.next().await.unwrap();
            if event.name == "change" {
                break event;
            }
        };
        assert_eq!(again.data["worker"], gone.data["worker"]);
    }
}

#[tokio::test]
async fn fleet_changes_are_streamed() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let mut reader = Reader::open(&bed, "/api/events", &bed.admin, "").await;
    let (mut runtimes, mut workers) = (Vec::new(), Vec::new());
    while runtimes.len() < 2 || workers.is_empty() {
        let event = reader.next().await.unwrap();
        if event.name == "ready" {
            continue;
        }
        assert_eq!(event.name, "change");
        match event.data["kind"].as_str().unwrap() {
            "runtime" => runtimes.push(event.data["runtime"]["runtime_id"].clone()),
            _ => workers.push(event.data["worker_id"].as_str().unwrap().to_owned()),
        }
    }
    assert!(worker.ends_with(&workers[0]));
}

#[tokio::test]
async fn a_shutdown_ends_streams_at_once() {
    let mut bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let mut reader = Reader::open(&bed, &format!("{worker}/events"), &bed.admin, "").await;
    let took = bed.shut_down().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn an_idle_stream_has_heartbeats_and_ends_with_its_token() {
    let heartbeat = Duration::from_millis(50);
    let bed =
        Bed::of(Surface::Browser, ServerLimits { heartbeat, ..ServerLimits::default() }).await;
    let worker = bed.worker(Guest::Scribe).await;
    let viewer = bed.token(Role::Viewer, None);
    let mut reader = Reader::open(&bed, &format!("{worker}/events"), &viewer, "").await;
    for _ in 0..3 {
        assert_eq!(reader.line().await.as_deref(), Some(":"));
        assert_eq!(reader.line().await.as_deref(), Some(""));
    }
    let me = bed.ask("GET", "/api/me").bearer(&viewer).send().await.is(200).json();
    bed.registry.access().revoke(&me["token_id"].as_str().unwrap().parse().unwrap()).unwrap();
    // The registry may notice first, and report it.
    let last = reader.next().await.filter(|event| event.data["code"] != "unauthenticated");
    assert_eq!(last, None);
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn a_slim_stream_from_now_has_rows_and_watched_entries() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let id = worker.rsplit('/').next().unwrap();
    let path = format!("/api/events?from=now&fields=slim&interval_ms=100&watch=home/{id}@0");
    let mut reader = Reader::open(&bed, &path, &bed.admin, "").await;
    let (mut ready, mut row, mut entries) = (false, None, Vec::new());
    while row.is_none() || entries.is_empty() || !ready {
        let event = reader.next().await.unwrap();
        match event.name.as_str() {
            "ready" => {
                ready = true;
                assert_eq!(event.id.as_deref(), event.data["cursor"].as_str());
                bed.admin("POST", &format!("{worker}/stop")).send().await.is(200);
            }
            "entry" => entries.push(event.data["entry"]["kind"].clone()),
            "change" if event.data["kind"] == "worker" => {
                assert!(ready, "there is no snapshot");
                row = Some(event.data["worker"].clone());
            }
            "change" => {}
            name => panic!("{name}"),
        }
    }
    let row = row.unwrap();
    assert_eq!((&row["worker_id"], &row["runtime_id"]), (&id.into(), &"home".into()));
    let has = ["display_ref", "kind", "component", "desired", "observed", "execution"];
    for field in has.iter().chain(&["queued_inputs", "updated_at", "labels"]) {
        assert!(row.get(field).is_some(), "{field}");
    }
    assert!(row.get("grants").is_none() && row.get("limits").is_none(), "{row}");
    assert_eq!(entries[0], "created");
}

#[tokio::test]
async fn a_stream_with_bad_parameters_is_refused() {
    let bed = Bed::browser().await;
    let watch = "watch=home/019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55&".repeat(17);
    for bad in [
        "from=then",
        "fields=fat",
        "interval_ms=99",
        "interval_ms=10001",
        "interval_ms=x",
        "watch=home",
        "watch=home/x",
        "watch=home/019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55@-1",
        &watch,
    ] {
        let refused = bed.admin("GET", &format!("/api/events?{bad}")).send().await;
        refused.refused(400, "invalid_request");
    }
    bed.admin("GET", &bed.at("/changes?from=then")).send().await.refused(400, "invalid_request");
}
