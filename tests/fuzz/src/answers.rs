//! Answers of a server in a remote's place: none ends or blocks the client, and no resulting error
//! contains a control character, the remote's address or its token.

use std::future::Future;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use skep_client::{Client, ClientDeadlines, Endpoint, HostClient, Prefix, Token};
use skep_protocol::text::is_unsafe;
use skep_protocol::{
    Artifacts, ConfigValues, CreateWorker, Cursor, Error, Files, FollowChanges, FollowFleet,
    InputId, ListAudit, ListEntries, ListFiles, ListWorkers, NewInput, Overview, Payload,
    RemoveFile, Turns, WorkerId, WorkerSpec, Workers,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::bytes::Bytes;

const TOKEN: &str = "the-operators-own-token";

/// Short, since the server is in the same process. Retries are left to other runs.
const DEADLINES: ClientDeadlines = ClientDeadlines {
    connect: Duration::from_secs(1),
    headers: Duration::from_millis(10),
    body: Duration::from_millis(10),
    answer: Duration::from_millis(20),
    silence: Duration::from_millis(10),
    give_up: Duration::from_millis(1),
};

/// The bound on one call.
const PATIENCE: Duration = Duration::from_secs(5);

/// The next answer, whatever the request.
#[derive(Clone)]
struct Answer {
    bytes: Arc<Mutex<(Vec<u8>, bool)>>,
}

struct Open {
    runtime: Runtime,
    client: Client,
    host: HostClient,
    answer: Answer,
    port: String,
}

thread_local! {
    static OPEN: Open = open();
}

fn open() -> Open {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let answer = Answer { bytes: Arc::default() };
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    runtime.spawn(serve(listener, answer.clone()));
    let endpoint = Endpoint {
        url: format!("http://{address}").parse().expect("a URL"),
        token: Token::Text(TOKEN.into()),
        ca: None,
        insecure: false,
        prefix: Prefix::V1,
    };
    let client = Client::with_deadlines(endpoint.clone(), DEADLINES).expect("a good endpoint");
    let host = HostClient::with_deadlines(endpoint, DEADLINES).expect("a good endpoint");
    Open { runtime, client, host, answer, port: address.port().to_string() }
}

async fn serve(listener: TcpListener, answer: Answer) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("the stream is a socket");
        tokio::spawn(exchange(stream, answer.clone()));
    }
}

/// Answers each request on a connection, as long as the answers end by themselves.
async fn exchange(mut stream: TcpStream, answer: Answer) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let mut request = Vec::new();
        while !is_whole(&request) {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => request.extend_from_slice(&buffer[..read]),
            }
        }
        let (bytes, ends) = answer.bytes.lock().expect("no panic happens under the lock").clone();
        if stream.write_all(&bytes).await.is_err() || !ends {
            return;
        }
    }
}

/// Returns true if the request is complete.
fn is_whole(request: &[u8]) -> bool {
    let Some(head) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length.and_then(|length| length.trim().parse::<usize>().ok()) {
        Some(length) => request.len() >= head + 4 + length,
        None if text.contains("transfer-encoding") => request.ends_with(b"0\r\n\r\n"),
        None => true,
    }
}

const STATUSES: &[u16] = &[
    200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 409, 410, 413, 416, 422, 429, 500, 501, 503,
    507, 301, 999,
];

const TYPES: &[&str] = &[
    "application/json",
    "application/problem+json",
    "text/event-stream",
    "application/x-tar",
    "text/html",
];

pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (verb, form) = (bytes.byte(), bytes.byte());
    let raw = form & 0x80 != 0;
    let answer = if raw {
        bytes.0.to_vec()
    } else {
        let status = STATUSES[bytes.below(STATUSES.len())];
        let kind = TYPES[usize::from(form) % TYPES.len()];
        let mut answer = Vec::new();
        write!(answer, "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n").expect("memory");
        write!(answer, "Content-Length: {}\r\n\r\n", bytes.0.len()).expect("memory");
        answer.extend_from_slice(bytes.0);
        answer
    };
    OPEN.with(|open| {
        *open.answer.bytes.lock().expect("no panic happens under the lock") = (answer, !raw);
        let asked = async { timeout(PATIENCE, ask(open, verb)).await };
        let error = open.runtime.block_on(asked).expect("no answer blocks the client");
        let Some(error) = error else { return };
        let said = format!("{error} {error:?}");
        assert!(!error.to_string().chars().any(is_unsafe), "{said}");
        let theirs = matches!(error, Error::ComponentRefused { .. });
        assert!(theirs || !(said.contains(&open.port) || said.contains(TOKEN)), "{said}");
    });
}

/// Makes a request and returns its error, if any.
async fn ask(open: &Open, verb: u8) -> Option<Error> {
    let Open { client, host, .. } = open;
    let worker = WorkerId::new(1, [1; 10]);
    let name = || "a/b".parse().expect("a file's name");
    let wait = (verb & 0x80 != 0).then_some(Duration::from_millis(1));
    let input = NewInput { payload: Payload::default(), key: None, wait, sender: None };
    let digest = skep_protocol::ComponentDigest::from_sha256([7; 32]);
    let create = CreateWorker { worker_id: Some(worker), spec: WorkerSpec::new(digest) };
    match verb % 26 {
        0 => error(client.describe()).await,
        1 => error(client.get(worker)).await,
        2 => error(client.list(ListWorkers::default())).await,
        3 => error(client.create(create)).await,
        4 => error(client.send(worker, input)).await,
        5 => error(client.transcript(worker, ListEntries::after(Cursor(0), 10))).await,
        6 => error(client.components(None)).await,
        7 => error(client.configs(None)).await,
        8 => error(client.diagnostics(Some(worker))).await,
        9 => error(client.usage(worker)).await,
        10 => error(client.files(worker, ListFiles::default())).await,
        11 => match client.read_file(worker, name(), None).await {
            Ok((_, content)) => drained(content).await,
            Err(error) => Some(error),
        },
        12 => match client.subscribe(worker, Some(Cursor(0)), None).await {
            Ok(entries) => drained(entries).await,
            Err(error) => Some(error),
        },
        13 => match client.changes(FollowChanges::default()).await {
            Ok(changes) => drained(changes).await,
            Err(error) => Some(error),
        },
        14 => match client.export(worker).await {
            Ok(archive) => drained(archive).await,
            Err(error) => Some(error),
        },
        15 => error(client.put_config(ConfigValues::default())).await,
        16 => error(client.remove(worker)).await,
        17 => error(client.cancel(worker, InputId::new(1, [1; 10]))).await,
        18 => error(client.remove_file(worker, name(), RemoveFile::default())).await,
        19 => error(host.runtimes()).await,
        20 => error(host.workers(None, ListWorkers::default())).await,
        21 => error(host.audit(&ListAudit::default())).await,
        22 => error(host.me()).await,
        23 => match host.events(FollowFleet::default()).await {
            Ok(events) => drained(events).await,
            Err(error) => Some(error),
        },
        24 => error(client.component(digest)).await,
        _ => error(client.input(worker, InputId::new(1, [1; 10]))).await,
    }
}

async fn error<T>(asked: impl Future<Output = Result<T, Error>>) -> Option<Error> {
    asked.await.err()
}

/// The bound on items read from one stream: the client fetches the same answer again and again.
const ITEMS: usize = 100;

/// Reads a stream until it is quiet.
async fn drained<T>(mut stream: impl StreamExt<Item = Result<T, Error>> + Unpin) -> Option<Error> {
    let quiet = Duration::from_millis(2);
    for _ in 0..ITEMS {
        match timeout(quiet, stream.next()).await {
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Some(error),
            Ok(None) | Err(_) => break,
        }
    }
    None
}
