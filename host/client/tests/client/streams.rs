//! Streams resume without loss or repetition, for a limited time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use skep_client::ClientDeadlines;
use skep_protocol::{
    Change, Cursor, Entry, EntryKind, EntryStream, Error, FollowChanges, Payload, RuntimeEvent,
    Timestamp, Turns, Workers,
};

use crate::server::{Connection, Received, Server, answer, json, problem};
use crate::{client, hurried, worker};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn entry_of(seq: u64, kind: EntryKind) -> Entry {
    Entry {
        seq: Cursor(seq),
        at: Timestamp(seq),
        kind,
        input_id: None,
        label: None,
        ending: None,
        payload: Payload { content_type: "text/plain".into(), body: format!("{seq}\n").into() },
        truncated: false,
        body_bytes: None,
    }
}

fn event(seq: u64, kind: EntryKind) -> String {
    let json = serde_json::to_string(&entry_of(seq, kind)).unwrap();
    format!("id: {seq}\nevent: entry\ndata: {json}\n\n")
}

fn events(seqs: impl IntoIterator<Item = u64>) -> String {
    seqs.into_iter().map(|seq| event(seq, EntryKind::Event)).collect()
}

const END: &str = "event: end\ndata: {}\n\n";

/// Starts a server that sends the next of these on each connection, after the head, and closes.
async fn saying(says: &[String]) -> Server {
    let says: Vec<_> = says.iter().map(|text| format!("{HEAD}{text}")).collect();
    Server::answering(&says).await
}

async fn follow(server: &Server, after: Option<u64>) -> EntryStream {
    client(&server.url).subscribe(worker(), after.map(Cursor), None).await.unwrap()
}

/// Returns the `seq` of all entries, and the error at the end, if any.
async fn all(mut stream: EntryStream) -> (Vec<u64>, Option<Error>) {
    let mut seqs = Vec::new();
    while let Some(next) = stream.next().await {
        match next {
            Ok(entry) => seqs.push(entry.seq.0),
            Err(error) => {
                assert!(stream.next().await.is_none(), "an error ends the stream");
                return (seqs, Some(error));
            }
        }
    }
    (seqs, None)
}

/// Returns the position that each request resumed from.
fn places(server: &Server) -> Vec<Option<String>> {
    let requests = server.requests();
    requests.iter().map(|request| request.parameter("after").map(str::to_owned)).collect()
}

fn places_were(server: &Server, expected: &[&str]) {
    let places: Vec<_> = places(server).into_iter().map(Option::unwrap).collect();
    assert_eq!(places, expected);
}

#[tokio::test]
async fn entries_arrive_unchanged() {
    let server = saying(&[format!("retry: 2000\n\n:\n\n{}{END}", events(1..4))]).await;
    let stream = follow(&server, Some(0)).await;
    let seen: Vec<_> = stream.map(Result::unwrap).collect().await;
    let expected: Vec<_> = (1..4).map(|seq| Arc::new(entry_of(seq, EntryKind::Event))).collect();
    assert_eq!(seen, expected);
    let line = format!("GET /v1/workers/{}/events?after=0", worker());
    assert_eq!(server.requests()[0].line(), line);
    assert_eq!(server.requests()[0].header("accept"), Some("text/event-stream"));
}

#[tokio::test]
async fn a_stream_resumes_without_loss_or_repetition() {
    let cut = events([5]);
    let server = saying(&[
        events(1..4),
        // Repeats earlier events, and is cut in the middle of an event.
        format!("{}{}", events(2..5), &cut[..cut.len() - 2]),
        String::new(),
        format!("{}{END}", events(5..8)),
    ])
    .await;
    assert_eq!(all(follow(&server, Some(0)).await).await, ((1..8).collect(), None));
    places_were(&server, &["0", "3", "4", "4"]);
}

#[tokio::test]
async fn a_stream_outlasts_foreign_responses() {
    let retry_after = Duration::from_millis(1);
    for fault in [
        answer(500, "text/plain", "disk full"),
        answer(200, "text/html", "hello"),
        problem(&Error::Busy { retry_after }),
        problem(&Error::StorageFull),
        "garbage\r\n\r\n".into(),
        json(200, "{}"),
    ] {
        let (one, two) = (events([1]), events([2]));
        let rest = format!("{HEAD}{two}{END}");
        let server = Server::answering(&[format!("{HEAD}{one}"), fault.clone(), rest]).await;
        assert_eq!(all(follow(&server, Some(0)).await).await, (vec![1, 2], None), "{fault}");
        places_were(&server, &["0", "1", "1"]);
    }
}

#[tokio::test]
async fn a_stream_survives_a_server_restart() {
    let first = saying(&[events([1])]).await;
    let url = first.url.clone();
    let mut stream = client(&url).subscribe(worker(), Some(Cursor(0)), None).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().seq, Cursor(1));
    drop(first);
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let second = tokio::spawn(async move {
        // The port is free once the first listener's task has ended.
        let listener = loop {
            match tokio::net::TcpListener::bind(&address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = Connection::over(socket, Arc::default());
        let request = connection.request().await.unwrap();
        connection.send(format!("{HEAD}{}{END}", events([2]))).await;
        request
    });
    assert_eq!(all(stream).await, (vec![2], None));
    let request: Received = second.await.unwrap();
    assert_eq!(request.parameter("after"), Some("1"));
}

#[tokio::test]
async fn silence_is_a_lost_connection_and_comments_break_it() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.send(HEAD).await;
        match connection.nth {
            0 => {
                connection.send(events([1])).await;
                connection.hang().await;
            }
            _ => {
                for _ in 0..30 {
                    connection.send(":\n\n").await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                connection.send(format!("{}{END}", events([2]))).await;
            }
        }
    })
    .await;
    let deadlines =
        ClientDeadlines { silence: Duration::from_secs(1), ..ClientDeadlines::default() };
    let client = hurried(&server.url, deadlines);
    let stream = client.subscribe(worker(), Some(Cursor(0)), None).await.unwrap();
    assert_eq!(all(stream).await, (vec![1, 2], None));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_gap_entry_is_passed_on_and_a_missing_seq_is_reread() {
    let server = saying(&[
        format!("{}{}", events(1..3), events([4])),
        format!("{}{}{END}", event(9, EntryKind::Gap), events([10])),
    ])
    .await;
    assert_eq!(all(follow(&server, Some(0)).await).await, (vec![1, 2, 9, 10], None));
    places_were(&server, &["0", "2"]);
}

#[tokio::test]
async fn a_persistently_damaged_stream_fails() {
    let damages = [
        events([3]),
        "event: entry\ndata: {\n\n".to_owned(),
        format!("event: entry\ndata: {}\n\n", "[".repeat(100_000)),
        "event: problem\ndata: disk full\n\n".to_owned(),
    ];
    for damage in damages {
        let server = saying(&[events([1]), damage.clone()]).await;
        let seen = all(follow(&server, Some(0)).await).await;
        assert_eq!(seen, (vec![1], Some(Error::RuntimeUnavailable)), "{damage:.40}");
        assert_eq!(server.requests().len(), 4, "{damage:.40}");
    }
}

#[tokio::test]
async fn an_endless_line_is_not_buffered() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.send(format!("{HEAD}data: ")).await;
        let piece = vec![b'a'; 1 << 20];
        while connection.try_send(&piece).await {}
    })
    .await;
    let seen = all(follow(&server, Some(0)).await).await;
    assert_eq!(seen, (vec![], Some(Error::RuntimeUnavailable)));
}

#[tokio::test]
async fn a_stream_fails_if_its_server_stays_away() {
    for flapping in [false, true] {
        let server = Server::start(move |mut connection| async move {
            if connection.nth == 0 {
                connection.request().await;
                connection.send(format!("{HEAD}{}", events([1]))).await;
            } else if flapping {
                connection.request().await;
                connection.send(format!("{HEAD}:\n\n")).await;
            }
        })
        .await;
        let deadlines =
            ClientDeadlines { give_up: Duration::from_secs(3), ..ClientDeadlines::default() };
        let client = hurried(&server.url, deadlines);
        let stream = client.subscribe(worker(), Some(Cursor(0)), None).await.unwrap();
        assert_eq!(all(stream).await, (vec![1], Some(Error::RuntimeUnavailable)));
        assert!(server.connections() > 2, "{}", server.connections());
    }
}

#[tokio::test]
async fn removal_ends_a_stream_and_other_errors_fail_it() {
    let later = async |error: Error| {
        let first = format!("{HEAD}{}", events([1]));
        let server = Server::answering(&[first, problem(&error)]).await;
        let seen = all(follow(&server, Some(0)).await).await;
        let said = format!("{HEAD}{}event: problem\ndata: ", events([1]));
        let problem = serde_json::to_string(&skep_protocol::Problem::from(&error)).unwrap();
        let server = Server::answering(&[format!("{said}{problem}\n\n")]).await;
        assert_eq!(
            all(follow(&server, Some(0)).await).await,
            seen,
            "as an event or as the response"
        );
        seen
    };
    assert_eq!(later(Error::WorkerRemoved).await, (vec![1], None));
    let unknown = Error::UnknownWorker(worker());
    assert_eq!(later(unknown.clone()).await, (vec![1], Some(unknown)));
    let revoked = Error::Unauthenticated;
    assert_eq!(later(revoked.clone()).await, (vec![1], Some(revoked)));
}

#[tokio::test]
async fn errors_of_the_first_request_go_to_the_caller() {
    let unknown = Error::UnknownWorker(worker());
    let server = Server::answering(&[problem(&unknown)]).await;
    let refused = client(&server.url).subscribe(worker(), None, None).await.err();
    assert_eq!(refused, Some(unknown));
    let server = Server::answering(&[json(200, "{}")]).await;
    let refused = client(&server.url).subscribe(worker(), None, None).await.err();
    assert_eq!(refused, Some(Error::RuntimeUnavailable));
}

#[tokio::test]
async fn a_stream_from_the_end_resumes_once_its_position_is_known() {
    let server = saying(&[events([8]), format!("{}{END}", events([9]))]).await;
    assert_eq!(all(follow(&server, None).await).await, (vec![8, 9], None));
    assert_eq!(places(&server), [None, Some("8".into())]);

    let server = saying(&["id: 7\n\n".into(), format!("{}{END}", events([8]))]).await;
    assert_eq!(all(follow(&server, None).await).await, (vec![8], None));
    assert_eq!(places(&server), [None, Some("7".into())]);

    // Without a known position, missed entries would be skipped silently.
    let server = saying(&["retry: 5\n\n".into(), events([8])]).await;
    let seen = all(follow(&server, None).await).await;
    assert_eq!(seen, (vec![], Some(Error::RuntimeUnavailable)));
    assert_eq!(server.requests().len(), 1);
}

fn change(cursor: &str) -> String {
    let change = Change { cursor: cursor.into(), worker_id: worker(), worker: None };
    let json = serde_json::to_string(&change).unwrap();
    format!("id: {cursor}\nevent: change\ndata: {json}\n\n")
}

fn cursor(event: RuntimeEvent) -> String {
    match event {
        RuntimeEvent::Change(change) => change.cursor,
        event => panic!("{event:?}"),
    }
}

#[tokio::test]
async fn changes_resume_at_the_last_cursor() {
    let server = saying(&[
        format!("{}{}", change("7"), change("8.x")),
        format!("{}event: other\ndata: {{}}\n\n", change("9")),
        change("10"),
    ])
    .await;
    let mut stream = client(&server.url)
        .changes(FollowChanges { after: Some("6".into()), from_now: false })
        .await
        .unwrap();
    for expected in ["7", "8.x", "9", "10"] {
        assert_eq!(cursor(stream.next().await.unwrap().unwrap()), expected);
    }
    let cursors: Vec<_> = server.requests()[..3]
        .iter()
        .map(|request| request.header("last-event-id").unwrap().to_owned())
        .collect();
    assert_eq!(cursors, ["6", "8.x", "9"]);
    assert_eq!(server.requests()[0].line(), "GET /v1/changes");
}

#[tokio::test]
async fn changes_start_over_if_the_cursor_is_unknown() {
    let forgotten = problem(&skep_protocol::Invalid::Cursor.into());
    let server = Server::answering(&[
        format!("{HEAD}{}", change("7")),
        forgotten.clone(),
        format!("{HEAD}{}", change("1")),
    ])
    .await;
    let mut stream = client(&server.url).changes(FollowChanges::default()).await.unwrap();
    for expected in ["7", "1"] {
        assert_eq!(cursor(stream.next().await.unwrap().unwrap()), expected);
    }
    let requests = server.requests();
    let cursors: Vec<_> = requests.iter().map(|request| request.header("last-event-id")).collect();
    assert_eq!(cursors[..3], [None, Some("7"), None]);

    // The caller has to correct its own cursor.
    let server = Server::answering(&[forgotten]).await;
    let refused = client(&server.url)
        .changes(FollowChanges { after: Some("7".into()), from_now: false })
        .await
        .err();
    assert_eq!(refused, Some(skep_protocol::Invalid::Cursor.into()));
}
