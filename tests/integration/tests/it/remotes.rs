//! A host whose remote runtimes fail in every way that processes and networks do: its own workers
//! are unaffected, lists stay fast and partial, errors keep their type, streams lose nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rustix::process::Signal;
use serde_json::Value;
use skep_client::{Client, Endpoint, Prefix, Token};
use skep_harness::{TestDir, guest};
use skep_protocol::{
    Artifacts, CreateWorker, Cursor, Entry, EntryKind, Error, ListEntries, NewInput, Payload, Role,
    Sent, Turns, WorkerId, WorkerSpec, Workers,
};

use crate::hosting::{Hosted, skep};
use crate::out_of_process::children;
use crate::served::{Served, Serves, prepared};

/// The bound on the time of a list, whatever its remotes do. The host's deadline is 2 s.
const QUICK: Duration = Duration::from_secs(4);

/// The bound when other work delays the machine.
const SLOW: Duration = Duration::from_secs(9);

/// The bound on every wait for a change.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host, and one remote runtime that it knows.
struct Pair {
    hosted: Hosted,
    remote: Served,
    dir: TestDir,
    /// The times of the operations that must be fast.
    took: Mutex<Vec<Duration>>,
}

fn add(hosted: &Hosted, id: &str, url: &str, token: &str) {
    let file = hosted.dir.join(format!("{id}.token"));
    std::fs::write(&file, token).unwrap();
    hosted.good(&["remote", "add", id, url, "--token-file", file.to_str().unwrap()]);
}

impl Pair {
    fn start() -> Self {
        let hosted = Hosted::start();
        let dir = prepared();
        let remote = Served::start_with(Serves::Runtime, &dir, &["--id", "attic"]);
        // The token in the note ends with the process, and this runtime is restarted later.
        let token = skep(&dir, &["token", "create", "--role", "admin"]).out;
        add(&hosted, "attic", &remote.url, token.trim());
        let pair = Self { hosted, remote, dir, took: Mutex::default() };
        pair.until("attic", "available");
        pair
    }

    /// Makes a client of the remote by way of the host.
    fn through(&self) -> Client {
        self.through_as(&self.hosted.host.token)
    }

    /// The same with another token.
    fn through_as(&self, token: &str) -> Client {
        Client::new(Endpoint {
            url: self.hosted.host.url.parse().unwrap(),
            token: Token::Text(token.to_owned()),
            ca: None,
            insecure: false,
            prefix: Prefix::Runtime("attic".parse().unwrap()),
        })
        .unwrap()
    }

    fn runtimes(&self) -> Value {
        self.hosted.good(&["runtimes", "--output", "json"]).json()
    }

    /// Waits until a runtime has this status.
    fn until(&self, id: &str, status: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let runtimes = self.runtimes();
            let mut items = runtimes["items"].as_array().unwrap().iter();
            if items.any(|item| item["runtime_id"] == id && item["status"] == status) {
                return;
            }
            assert!(Instant::now() < until, "{id} does not become {status}: {runtimes}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Lists all workers, which must be fast.
    fn list(&self) -> Value {
        let began = Instant::now();
        let listed = self.hosted.good(&["worker", "list", "--output", "json"]);
        self.took("the list", began);
        listed.json()
    }

    /// Checks that the host's own worker answers.
    fn own_worker_answers(&self) {
        let began = Instant::now();
        let said = self.hosted.good(&["worker", "send", "own", "echo", "here"]);
        assert_eq!(said.out.trim_end(), "here");
        self.took("the host's own worker", began);
    }

    fn took(&self, what: &str, began: Instant) {
        let took = began.elapsed();
        assert!(took < SLOW, "{what} took {took:?}");
        self.took.lock().unwrap().push(took);
    }

    /// Checks that at most one in ten operations was late.
    fn was_quick(&self) {
        let took = self.took.lock().unwrap();
        let late = took.iter().filter(|took| **took >= QUICK).count();
        assert!(late <= took.len().div_ceil(10), "{late} were late: {took:?}");
    }

    /// Restarts the remote on its old port.
    fn comes_back(&mut self) {
        let port = self.remote.url.rsplit_once(':').unwrap().1.to_owned();
        let listen = format!("127.0.0.1:{port}");
        self.remote = Served::start_with(Serves::Runtime, &self.dir, &["--listen", &listen]);
    }
}

fn wasm(name: &str) -> skep_protocol::ByteStream {
    let wasm = std::fs::read(guest(name)).unwrap();
    Box::pin(futures_util::stream::once(async { Ok(wasm.into()) }))
}

async fn scribe(runtime: &Client) -> WorkerId {
    let component = runtime.put_component(wasm("scribe"), Role::Admin).await.unwrap().item.digest;
    let spec = WorkerSpec::new(component);
    runtime.create(CreateWorker { worker_id: None, spec }).await.unwrap().item.worker_id
}

fn input(text: &str, key: &str) -> NewInput {
    let payload = Payload { content_type: "text/plain".into(), body: text.to_owned().into() };
    NewInput {
        payload,
        key: Some(key.parse().unwrap()),
        wait: Some(Duration::from_secs(20)),
        sender: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_remote_recovers_after_its_restart() {
    let mut pair = tokio::task::spawn_blocking(Pair::start).await.unwrap();
    let scribe_path = guest("scribe").to_str().unwrap().to_owned();
    pair.hosted.good(&["worker", "create", &scribe_path, "--name", "own"]);
    let through = pair.through();
    let worker = scribe(&through).await;
    let mut stream = through.subscribe(worker, Some(Cursor(0)), None).await.unwrap();
    let reader = tokio::spawn(async move {
        let mut seen: Vec<Entry> = Vec::new();
        while let Some(entry) = stream.next().await {
            let entry = entry.unwrap();
            let last = entry.kind == EntryKind::Event && entry.payload.body[..] == *b"last";
            seen.push(std::sync::Arc::unwrap_or_clone(entry));
            if last {
                break;
            }
        }
        seen
    });
    for n in 0..20 {
        let sent = through.send(worker, input(&format!("emit tick {n}"), &format!("a{n}"))).await;
        assert!(matches!(sent, Ok(Sent::Done { .. })), "{sent:?}");
    }
    pair.remote.kill();
    // A request for the worker fails at once, and no other worker is missing.
    let refused = through.get(worker).await;
    assert_eq!(refused, Err(Error::RuntimeUnavailable));
    tokio::task::block_in_place(|| {
        pair.until("attic", "unavailable");
        let runtimes = pair.runtimes();
        let mut items = runtimes["items"].as_array().unwrap().iter();
        let attic = items.find(|item| item["runtime_id"] == "attic").unwrap();
        assert!(attic["unavailable_since"].is_string(), "{attic}");
        pair.own_worker_answers();
        assert_eq!(pair.list()["items"].as_array().unwrap().len(), 1);
        pair.was_quick();
        pair.comes_back();
        pair.until("attic", "available");
    });
    for n in 20..40 {
        let sent = through.send(worker, input(&format!("emit tick {n}"), &format!("a{n}"))).await;
        assert!(matches!(sent, Ok(Sent::Done { .. })), "{sent:?}");
    }
    through.send(worker, input("emit tick last", "last")).await.unwrap();
    let seen = tokio::time::timeout(PATIENCE, reader).await.unwrap().unwrap();
    let seqs: Vec<u64> = seen.iter().map(|entry| entry.seq.0).collect();
    assert_eq!(seqs, (1..=seen.len() as u64).collect::<Vec<_>>(), "something is lost or repeated");
    let events = seen.iter().filter(|entry| entry.kind == EntryKind::Event).count();
    assert_eq!(events, 41);
    assert_eq!(pair.list()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_remote_does_not_delay_the_host() {
    let pair = tokio::task::spawn_blocking(Pair::start).await.unwrap();
    let scribe_path = guest("scribe").to_str().unwrap().to_owned();
    pair.hosted.good(&["worker", "create", &scribe_path, "--name", "own"]);
    let through = pair.through();
    let worker = scribe(&through).await;
    let mut stream = through.subscribe(worker, Some(Cursor(0)), None).await.unwrap();
    pair.remote.signal(Signal::STOP);
    let began = Instant::now();
    tokio::task::block_in_place(|| {
        while began.elapsed() < Duration::from_secs(10) {
            let listed = pair.list();
            assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
            pair.own_worker_answers();
            std::thread::sleep(Duration::from_millis(250));
        }
        pair.was_quick();
    });
    pair.remote.signal(Signal::CONT);
    tokio::task::block_in_place(|| pair.until("attic", "available"));
    let sent = through.send(worker, input("emit tick after", "after")).await;
    assert!(matches!(sent, Ok(Sent::Done { .. })), "{sent:?}");
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut last = 0;
    loop {
        let entry = tokio::time::timeout_at(until, stream.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(entry.seq.0, last + 1);
        last = entry.seq.0;
        if entry.kind == EntryKind::Event && entry.payload.body[..] == *b"after" {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_that_refuses_our_token_is_unavailable() {
    let pair = tokio::task::spawn_blocking(Pair::start).await.unwrap();
    let tokens = skep(&pair.dir, &["token", "list", "--output", "json"]).json();
    for token in tokens["items"].as_array().unwrap() {
        let id = token["token_id"].as_str().unwrap();
        assert_eq!(skep(&pair.dir, &["token", "revoke", id]).code, 0);
    }
    let refused = pair.through().components(None).await;
    assert_eq!(refused, Err(Error::RuntimeUnavailable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_a_remote_keep_their_type() {
    let pair = tokio::task::spawn_blocking(Pair::start).await.unwrap();
    let through = pair.through();
    let unknown = WorkerId::new(1, [1; 10]);
    assert_eq!(through.get(unknown).await, Err(Error::UnknownWorker(unknown)));
    let worker = scribe(&through).await;
    through.stop(worker).await.unwrap();
    assert_eq!(through.send(worker, input("echo x", "x")).await, Err(Error::WorkerStopped));
    through.remove(worker).await.unwrap();
    assert_eq!(through.get(worker).await, Err(Error::WorkerRemoved));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_transcript_names_the_sender() {
    let pair = tokio::task::spawn_blocking(Pair::start).await.unwrap();
    let worker = scribe(&pair.through()).await;
    let made = tokio::task::block_in_place(|| {
        pair.hosted.good(&["token", "create", "--role", "operator", "--output", "json"])
    });
    let theirs = Client::new(Endpoint {
        url: pair.hosted.host.url.parse().unwrap(),
        token: Token::Text(made.text("token")),
        ca: None,
        insecure: false,
        prefix: Prefix::Runtime("attic".parse().unwrap()),
    });
    theirs.unwrap().send(worker, input("echo x", "x")).await.unwrap();
    let page = pair.through().transcript(worker, ListEntries::after(Cursor(0), 100)).await.unwrap();
    let entry = page.entries.iter().find(|entry| entry.kind == EntryKind::Input).unwrap();
    assert_eq!(entry.label, Some(made.text("token_id")));
}

/// Serves the same bytes to every request.
fn answers(bytes: &'static [u8], slowly: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, bytes, slowly));
        }
    });
    url
}

fn answer(mut stream: TcpStream, bytes: &[u8], slowly: bool) {
    // The reader may have gone.
    let _ = stream.read(&mut [0; 16 << 10]);
    for byte in bytes.chunks(if slowly { 1 } else { bytes.len() }) {
        if stream.write_all(byte).is_err() {
            return;
        }
        if slowly {
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_not_runtimes_are_unavailable_remotes() {
    let pair = tokio::task::spawn_blocking(Pair::start).await.unwrap();
    let scribe_path = guest("scribe").to_str().unwrap().to_owned();
    pair.hosted.good(&["worker", "create", &scribe_path, "--name", "own"]);
    let full = b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\n\
                 content-length: 9\r\n\r\ndisk full";
    let garbage = b"\x00\xff\x17 whatever this is, it is not HTTP\r\n\r\n";
    let html = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\n<html";
    let drip = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    for (id, bytes, slowly) in [
        ("full", &full[..], false),
        ("garbage", garbage, false),
        ("html", html, false),
        ("drip", drip, true),
    ] {
        tokio::task::block_in_place(|| add(&pair.hosted, id, &answers(bytes, slowly), "t"));
    }
    tokio::task::block_in_place(|| {
        for id in ["full", "garbage", "html", "drip"] {
            pair.until(id, "unavailable");
        }
        let listed = pair.list();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
        pair.own_worker_answers();
        pair.was_quick();
        let unknown = WorkerId::new(1, [1; 10]).to_string();
        for id in ["full", "garbage", "html", "drip"] {
            let said = pair.hosted.skep(&["worker", "show", &format!("{id}/{unknown}")]);
            assert_eq!(said.code, 125);
            assert!(said.err.contains("unavailable"), "{id}: {}", said.err);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_runs_untrusted_components_out_of_process() {
    let pair = Pair::start();
    // Once an admin has stored the component it is trusted, so the admin comes last.
    for (role, is_apart) in [("operator", true), ("admin", false)] {
        let token = pair.hosted.good(&["token", "create", "--role", role]).out;
        let client = pair.through_as(token.trim());
        let stored = client.put_component(wasm("probe"), Role::Admin).await.unwrap();
        let spec = WorkerSpec::new(stored.item.digest);
        let made = client.create(CreateWorker { worker_id: None, spec }).await.unwrap();
        let worker = made.item.worker_id;
        let nap = serde_json::json!({ "args": ["nap", "1"] }).to_string().into_bytes();
        let payload = Payload { content_type: "application/json".into(), body: nap.into() };
        let nap = NewInput { payload, key: None, wait: None, sender: None };
        let input = client.send(worker, nap).await.unwrap().input_id();
        let (began, mut seen) = (Instant::now(), false);
        loop {
            seen |= children(pair.remote.pid(), "__run") > 0;
            if let Some(outcome) = client.input(worker, input).await.unwrap().outcome {
                assert_eq!(outcome.ending, skep_protocol::Ending::Completed, "{outcome:?}");
                break;
            }
            assert!(began.elapsed() < PATIENCE, "the process still runs");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(seen, is_apart, "{role}");
    }
}
