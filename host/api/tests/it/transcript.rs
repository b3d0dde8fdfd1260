//! Transcripts: places, filters, previews, single entries and downloads, on both APIs.

use serde_json::{Value, json};
use skep_conformance::Guest;
use skep_protocol::Role;

use crate::bed::Bed;
use crate::events::Reader;

async fn both() -> [Bed; 2] {
    [Bed::browser().await, Bed::runtime().await]
}

/// Returns the numbers of a page's entries.
fn seqs(page: &Value) -> Vec<u64> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

async fn page(bed: &Bed, worker: &str, query: &str) -> Value {
    let token = bed.token(Role::Viewer, None);
    let path = format!("{worker}/transcript?{query}");
    bed.ask("GET", &path).bearer(&token).send().await.is(200).json()
}

#[tokio::test]
async fn a_viewer_reads_a_transcript_from_either_end() {
    for bed in both().await {
        let worker = bed.worker(Guest::Scribe).await;
        bed.handle(&worker, "emit-many 5").await;
        let all = page(&bed, &worker, "").await;
        let last = all["last_seq"].as_u64().unwrap();
        assert_eq!(seqs(&all), (1..=last).collect::<Vec<_>>());
        assert_eq!((&all["first_seq"], &all["prev_cursor"]), (&json!(1), &json!(null)));

        let end = page(&bed, &worker, "last=3").await;
        assert_eq!(seqs(&end), [last - 2, last - 1, last]);
        assert_eq!(end["prev_cursor"], (last - 2).to_string());
        assert_eq!((&end["more"], &end["next_cursor"]), (&json!(true), &json!(last.to_string())));
        assert_eq!(seqs(&page(&bed, &worker, "last=3&limit=1").await), [last]);
        let before = page(&bed, &worker, "before=3&limit=9").await;
        assert_eq!((seqs(&before), &before["more"]), (vec![1, 2], &json!(false)));
        let at = all["items"][0]["at"].as_str().unwrap();
        assert_eq!(seqs(&page(&bed, &worker, &format!("at={at}&limit=1")).await), [1]);
    }
}

#[tokio::test]
async fn a_transcript_is_filtered_and_cut() {
    for bed in both().await {
        let worker = bed.worker(Guest::Scribe).await;
        let sent = bed.handle(&worker, "emit note a needle here").await;
        bed.handle(&worker, "echo other").await;
        let found = page(&bed, &worker, "kind=event&q=NEEDLE").await;
        assert_eq!(found["items"].as_array().unwrap().len(), 1);
        assert_eq!(found["items"][0]["label"], "note");
        let id = sent["input_id"].as_str().unwrap();
        let turn = page(&bed, &worker, &format!("input_id={id}")).await;
        let items = turn["items"].as_array().unwrap();
        assert!(items.len() > 2 && items.iter().all(|entry| entry["input_id"] == id), "{turn}");
        let cut = page(&bed, &worker, "kind=event&preview=4").await;
        let (body, bytes) = (&cut["items"][0]["body"], &cut["items"][0]["body_bytes"]);
        assert_eq!((body, bytes), (&json!("a ne"), &json!(13)));

        let token = bed.token(Role::Viewer, None);
        let path = format!("{worker}/events?after=0&preview=4");
        let mut reader = Reader::open(&bed, &path, &token, "").await;
        let event = loop {
            let event = reader.next().await.unwrap();
            if event.data["kind"] == "event" {
                break event;
            }
        };
        assert_eq!((&event.data["body"], &event.data["body_bytes"]), (body, bytes));
    }
}

#[tokio::test]
async fn malformed_places_and_filters_are_refused() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let long = format!("q={}", "x".repeat(257));
    for query in [
        "after=1&before=2",
        "last=1&after=0",
        "at=2026-11-21T08:02:00.250Z&last=1",
        "last=0",
        "last=x",
        "before=-1",
        "at=yesterday",
        "kind=event,",
        "kind=Event",
        "q=",
        &long,
        "preview=0",
        "preview=1048577",
    ] {
        let path = format!("{worker}/transcript?{query}");
        let refused = bed.admin("GET", &path).send().await.refused(400, "invalid_request");
        assert_eq!(refused.json()["reason"], "query", "{query}");
    }
    let path = format!("{worker}/transcript?input_id=x");
    bed.admin("GET", &path).send().await.refused(400, "invalid_request");
    let path = format!("{worker}/events?preview=0");
    bed.admin("GET", &path).send().await.refused(400, "invalid_request");
}

#[tokio::test]
async fn an_entry_and_its_body_are_read_by_seq() {
    for bed in both().await {
        let worker = bed.worker(Guest::Scribe).await;
        bed.handle(&worker, "emit note <script>alert(1)</script>").await;
        let found = page(&bed, &worker, "kind=event").await;
        let seq = &found["items"][0]["seq"];
        let path = format!("{worker}/transcript/{seq}");
        assert_eq!(bed.admin("GET", &path).send().await.is(200).json(), found["items"][0]);
        let body = bed.admin("GET", &format!("{path}/body")).send().await.is(200);
        assert_eq!(&body.body[..], b"<script>alert(1)</script>");
        assert_eq!(body.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(body.header("x-content-type-options"), "nosniff");
        assert!(body.header("content-disposition").starts_with("attachment;"), "{body:?}");
        for (seq, code, status) in [("0", "unknown_entry", 404), ("x", "invalid_request", 400)] {
            let path = format!("{worker}/transcript/{seq}");
            bed.admin("GET", &path).send().await.refused(status, code);
            bed.admin("GET", &format!("{path}/body")).send().await.refused(status, code);
        }
    }
}

/// A guest chooses the type of its events, but not how a browser opens them.
#[tokio::test]
async fn a_body_of_another_type_is_only_bytes() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Echo).await;
    let path = format!("{worker}/inputs?wait_ms=10000");
    let sent = bed.admin("POST", &path).header("content-type", "text/html").body("<b>hello</b>");
    sent.send().await.is(200);
    let seq = page(&bed, &worker, "kind=input").await["items"][0]["seq"].clone();
    let body = bed.admin("GET", &format!("{worker}/transcript/{seq}/body")).send().await.is(200);
    assert_eq!(body.header("content-type"), "application/octet-stream");
    assert_eq!(&body.body[..], b"<b>hello</b>");
}

#[tokio::test]
async fn a_transcript_is_downloaded_as_lines() {
    for bed in both().await {
        let worker = bed.worker(Guest::Scribe).await;
        // More than one page.
        bed.handle(&worker, "emit-many 1200").await;
        let lines = async |query: &str| {
            let path = format!("{worker}/transcript.jsonl{query}");
            let said = bed.admin("GET", &path).send().await.is(200);
            assert_eq!(said.header("content-type"), "application/x-ndjson");
            assert!(said.header("content-disposition").starts_with("attachment;"));
            let text = String::from_utf8(said.body.to_vec()).unwrap();
            assert!(text.is_empty() || text.ends_with('\n'));
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
        };
        let all = lines("").await;
        for (seq, entry) in (1..).zip(&all) {
            assert_eq!(entry["seq"], seq);
        }
        assert!(all.len() > 1_200, "{}", all.len());
        assert_eq!(lines("?kind=event").await.len(), 1_200);
        assert_eq!(lines("?kind=event&q=1199").await.len(), 1);
        assert_eq!(lines(&format!("?after={}", all.len() - 1)).await.len(), 1);
        assert_eq!(lines("?q=nothing+of+this").await, Vec::<Value>::new());
    }
}
