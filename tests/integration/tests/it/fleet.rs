//! Runtimes that dial out to a NATS server: the conformance of the way through it, how hosts find and
//! lose them, and what each member may not do.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::Value;
use skep_client::{ByteStream, Client, Dial, Dialing, Token};
use skep_conformance::{Guest, Restart, Subject};
use skep_fleet::{Dialer, FleetAccess, FleetConnection, SubjectPart};
use skep_harness::{NatsServers, TestDir, guest, test_dir};
use skep_protocol::{
    Artifacts, CreateWorker, Cursor, EntryKind, Error, NewInput, Overview, Payload, Role,
    RuntimeHandle, RuntimeId, Sent, Turns, WorkerId, WorkerSpec, Workers,
};

use crate::hosting::skep;
use crate::served::prepared;

/// The bound on every wait for a change.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fleet with its servers.
struct NatsFleet(NatsServers);

impl NatsFleet {
    /// Starts a server with the files for these runtimes.
    fn start(runtimes: &[&str]) -> Self {
        Self(NatsServers::start(1, runtimes))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }

    /// Returns the access of a member, from its file.
    fn access(&self, name: &str) -> (FleetAccess, toml::Table) {
        let text = std::fs::read_to_string(self.file(name)).unwrap();
        let file: toml::Table = text.parse().unwrap();
        let servers = file["servers"].as_array().unwrap();
        let access = FleetAccess {
            servers: servers.iter().map(|server| server.as_str().unwrap().to_owned()).collect(),
            ca: Some(self.file("ca.pem")),
            seed: file["key"].as_str().unwrap().to_owned(),
            name: "test".to_owned(),
        };
        (access, file)
    }
}

fn kill(child: &mut Child) {
    // It may have ended already.
    let _ = child.kill();
    child.wait().unwrap();
}

/// A `skep runtime` of a fleet.
struct FleetRuntime {
    child: Child,
    store: TestDir,
}

impl FleetRuntime {
    fn start(fleet: &NatsFleet, id: &str) -> Self {
        let store = prepared();
        Self { child: runtime(fleet, id, &store), store }
    }

    fn restart(&mut self, fleet: &NatsFleet, id: &str, how: Restart) {
        match how {
            Restart::Clean => {
                let pid = rustix::process::Pid::from_child(&self.child);
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
                self.child.wait().unwrap();
            }
            Restart::Crash => kill(&mut self.child),
        }
        self.child = runtime(fleet, id, &self.store);
    }
}

impl Drop for FleetRuntime {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

/// Starts a runtime and waits until it is ready.
fn runtime(fleet: &NatsFleet, id: &str, dir: &Path) -> Child {
    let settings = dir.join("skep.toml");
    std::fs::write(&settings, "[runtime]\nstop_grace_ms = 300\n").unwrap();
    let mut child = Command::new(skep_harness::skep())
        .args(["runtime", "--output", "json", "--fleet"])
        .arg(fleet.file(&format!("runtime-{id}.toml")))
        .arg("--store")
        .arg(dir.join("store"))
        .arg("--settings")
        .arg(&settings)
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(dir.join("log")).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
        panic!("{line:?}; log: {}", std::fs::read_to_string(dir.join("log")).unwrap())
    });
    assert_eq!((ready["runtime_id"].as_str(), ready.get("url")), (Some(id), None));
    child
}

/// Opens streams to one runtime.
struct TestDial(Dialer, SubjectPart, RuntimeId);

impl Dial for TestDial {
    fn dial(&self) -> Dialing {
        let (dialer, pool, id) = (self.0.clone(), self.1.clone(), self.2.clone());
        Box::pin(async move {
            let stream: Box<dyn ByteStream> = Box::new(dialer.dial(&pool, &id).await?);
            Ok(stream)
        })
    }
}

/// A runtime that is reached through NATS.
struct FleetSubject {
    fleet: NatsFleet,
    runtime: Mutex<FleetRuntime>,
    client: Client,
}

/// Makes a client that reaches a runtime through the servers.
async fn client(fleet: &NatsFleet, id: &str) -> Client {
    let (access, file) = fleet.access("api.toml");
    let dialer = Dialer::start(&FleetConnection::open(&access).await.unwrap()).await.unwrap();
    let token = file["runtimes"][id]["token"].as_str().unwrap().to_owned();
    let dial = TestDial(dialer, "default".parse().unwrap(), id.parse().unwrap());
    Client::dialed(Arc::new(dial), Token::Text(token)).unwrap()
}

impl FleetSubject {
    async fn open() -> Self {
        let started = tokio::task::spawn_blocking(|| {
            let fleet = NatsFleet::start(&["alpha"]);
            let runtime = FleetRuntime::start(&fleet, "alpha");
            (fleet, runtime)
        });
        let (fleet, runtime) = started.await.unwrap();
        let client = client(&fleet, "alpha").await;
        Self { fleet, runtime: Mutex::new(runtime), client }
    }
}

#[async_trait::async_trait]
impl Subject for FleetSubject {
    fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        Arc::new(self.client.clone())
    }

    async fn restart(&self, how: Restart) {
        self.runtime.lock().unwrap().restart(&self.fleet, "alpha", how);
        // The first answer shows that what the process before had open is known to be gone here.
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.client.describe().await {
            assert!(Instant::now() < until, "{error:?}");
        }
    }

    fn wasm(&self, guest: Guest) -> Vec<u8> {
        std::fs::read(skep_harness::guest(guest.name())).unwrap()
    }
}

mod conformance {
    use super::FleetSubject;

    skep_conformance::conformance!(FleetSubject::open().await);

    mod of_pipelines {
        use super::FleetSubject;

        skep_conformance::step_conformance!(FleetSubject::open().await);
    }

    mod of_http_workers {
        use super::FleetSubject;

        skep_conformance::http_conformance!(FleetSubject::open().await);
    }
}

/// A host that finds the runtimes of a fleet.
struct FleetHost {
    child: Child,
    dir: TestDir,
}

impl FleetHost {
    fn start(fleet: &NatsFleet) -> Self {
        let dir = prepared();
        let mut child = Command::new(skep_harness::skep())
            .args(["up", "--output", "json", "--listen", "127.0.0.1:0", "--fleet"])
            .arg(fleet.file("api.toml"))
            .arg("--store")
            .arg(dir.join("store"))
            .env("XDG_CACHE_HOME", dir.join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(dir.join("log")).unwrap();
        assert!(line.contains("runtime_id"), "{line:?}; log: {}", log());
        Self { child, dir }
    }

    /// Runs a command on this host that must succeed.
    fn good(&self, arguments: &[&str]) -> Value {
        let said = skep(&self.dir, &[arguments, &["--output", "json"]].concat());
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.err);
        said.json()
    }

    /// Sends an input to a worker, and returns its output.
    fn echo(&self, worker: &str, word: &str) -> Result<String, String> {
        let said = skep(&self.dir, &["worker", "send", worker, "echo", word]);
        match said.code {
            0 => Ok(said.out.trim_end().to_owned()),
            _ => Err(said.out + &said.err),
        }
    }

    /// Waits until the list of runtimes is as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let list = self.good(&["runtimes"]);
            if wanted(&list) {
                return list;
            }
            assert!(Instant::now() < until, "{what}: {list:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn until_status(&self, id: &str, status: &str) {
        self.until(status, |list| find(list, id).is_some_and(|one| one["status"] == status));
    }
}

impl Drop for FleetHost {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

fn find<'a>(list: &'a Value, id: &str) -> Option<&'a Value> {
    list["items"].as_array().unwrap().iter().find(|one| one["runtime_id"] == id)
}

/// Returns true if a diagnostic about this runtime contains the text.
fn has_diagnostic(list: &Value, id: &str, text: &str) -> bool {
    let all = list["diagnostics"].as_array().into_iter().flatten();
    all.map(Value::to_string).any(|one| one.contains(id) && one.contains(text))
}

#[test]
fn a_host_finds_runtimes_loses_them_and_finds_them_again() {
    let fleet = NatsFleet::start(&["alpha", "beta"]);
    let host = FleetHost::start(&fleet);
    assert_eq!(
        host.good(&["runtimes"])["items"].as_array().unwrap().len(),
        2,
        "its own, and local"
    );
    let mut alpha = FleetRuntime::start(&fleet, "alpha");
    let _beta = FleetRuntime::start(&fleet, "beta");
    for id in ["alpha", "beta"] {
        host.until_status(id, "available");
    }
    let list = host.good(&["runtimes"]);
    let found = find(&list, "alpha").unwrap();
    assert_eq!(found["source"], "fleet");
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));

    let scribe = guest("scribe");
    let scribe = scribe.to_str().unwrap();
    let made = host.good(&["worker", "create", scribe, "--runtime", "alpha"]);
    assert_eq!(made["runtime_id"], "alpha");
    let worker = format!("alpha/{}", made["worker_id"].as_str().unwrap());
    assert_eq!(host.echo(&worker, "over").unwrap(), "over");

    kill(&mut alpha.child);
    host.until_status("alpha", "unavailable");
    let since = find(&host.good(&["runtimes"]), "alpha").unwrap()["unavailable_since"].clone();
    assert!(since.is_string() || since.is_number(), "{since}");
    assert_eq!(find(&host.good(&["runtimes"]), "beta").unwrap()["status"], "available");
    alpha.child = runtime(&fleet, "alpha", &alpha.store);
    host.until_status("alpha", "available");
    assert_eq!(host.echo(&worker, "again").unwrap(), "again");

    // The server goes away and comes back.
    fleet.0.kill(1);
    fleet.0.start_again(1);
    let until = Instant::now() + PATIENCE;
    loop {
        match host.echo(&worker, "after") {
            Ok(_) => break,
            Err(said) => assert!(Instant::now() < until, "{said}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn nothing_of_the_fleet_is_in_an_answer() {
    let fleet = NatsFleet::start(&["alpha"]);
    let host = FleetHost::start(&fleet);
    let _alpha = FleetRuntime::start(&fleet, "alpha");
    host.until_status("alpha", "available");
    let (access, file) = fleet.access("api.toml");
    let server = access.servers[0].trim_start_matches("tls://").to_owned();
    let port = server.rsplit(':').next().unwrap().to_owned();
    let token = file["runtimes"]["alpha"]["token"].as_str().unwrap().to_owned();
    let mut answers = host.good(&["runtimes"]).to_string();
    answers += &host.good(&["audit"]).to_string();
    drop(fleet);
    host.until_status("alpha", "unavailable");
    answers += &host.good(&["runtimes"]).to_string();
    let failed = skep(&host.dir, &["worker", "list", "--runtime", "alpha", "--output", "json"]);
    answers += &(failed.out + &failed.err);
    for secret in [&access.seed, &token, &server, &format!(":{port}"), "nats", "NATS", "_INBOX"] {
        assert!(!answers.contains(secret), "{secret}: {answers}");
    }
}

#[test]
fn a_runtime_without_a_token_here_and_one_of_two_processes_are_diagnostics() {
    let fleet = NatsFleet::start(&["alpha", "beta"]);
    // This host was not told of beta.
    let path = fleet.file("api.toml");
    let mut file: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    file["runtimes"].as_table_mut().unwrap().remove("beta");
    std::fs::write(&path, file.to_string()).unwrap();
    let host = FleetHost::start(&fleet);
    let _beta = FleetRuntime::start(&fleet, "beta");
    let list = host.until("unknown", |list| has_diagnostic(list, "beta", "has no token for it"));
    assert_eq!(find(&list, "beta"), None);

    let _alpha = FleetRuntime::start(&fleet, "alpha");
    host.until_status("alpha", "available");
    let other = FleetRuntime::start(&fleet, "alpha");
    host.until("duplicate", |list| {
        has_diagnostic(list, "alpha", "two processes") && find(list, "alpha").is_none()
    });
    drop(other);
    host.until_status("alpha", "available");
}

#[test]
fn a_runtime_of_a_fleet_listens_on_no_port() {
    let fleet = NatsFleet::start(&["alpha"]);
    let alpha = FleetRuntime::start(&fleet, "alpha");
    let (mut tcp, mut inodes) = (String::new(), Vec::new());
    for name in ["tcp", "tcp6"] {
        let path = format!("/proc/{}/net/{name}", alpha.child.id());
        std::fs::File::open(path).unwrap().read_to_string(&mut tcp).unwrap();
    }
    for entry in std::fs::read_dir(format!("/proc/{}/fd", alpha.child.id())).unwrap() {
        // A descriptor may be gone by now.
        let Ok(target) = std::fs::read_link(entry.unwrap().path()) else { continue };
        let target = target.to_string_lossy().into_owned();
        inodes.extend(
            target.strip_prefix("socket:[").map(|rest| rest.trim_end_matches(']').to_owned()),
        );
    }
    // Column 3 is the state, of which 0A is listening; column 9 the inode.
    let listening = tcp.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening: Vec<_> = listening
        .filter(|line| line.get(3) == Some(&"0A"))
        .filter(|line| line.get(9).is_some_and(|inode| inodes.iter().any(|own| own == inode)))
        .collect();
    assert_eq!(listening, Vec::<Vec<&str>>::new());
}

#[test]
fn the_files_of_a_fleet_are_private_and_not_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let dir = test_dir();
    let made = skep(&dir, &["fleet", "init", "fleet", "--runtime", "alpha", "--output", "json"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let made = made.json();
    assert_eq!(made["servers"].as_array().unwrap().len(), 3);
    for entry in std::fs::read_dir(dir.join("fleet")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
    let again = skep(&dir, &["fleet", "init", "fleet"]);
    assert_ne!(again.code, 0);
    assert!(again.err.contains("not there yet"), "{}", again.err);
    let twice = skep(&dir, &["fleet", "init", "other", "--runtime", "a", "--runtime", "a"]);
    assert!(twice.code != 0 && twice.err.contains("named twice"), "{}", twice.err);
    let wrong =
        skep(&dir, &["up", "--fleet", "fleet/runtime-alpha.toml", "--listen", "127.0.0.1:0"]);
    assert!(wrong.code != 0 && wrong.err.contains("api.toml for `skep up`"), "{}", wrong.err);
}

/// Sends an input until it is done, with the same key each time.
async fn send(client: &Client, worker: WorkerId, text: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let body = text.to_owned().into();
        let input = NewInput {
            payload: Payload { content_type: "text/plain".into(), body },
            key: Some(text.replace(' ', "-").parse().unwrap()),
            wait: Some(Duration::from_secs(5)),
            sender: None,
        };
        match client.send(worker, input).await {
            Ok(Sent::Done { .. }) => return,
            Ok(_) | Err(Error::RuntimeUnavailable | Error::Busy { .. }) => {}
            Err(error) => panic!("{text}: {error:?}"),
        }
        assert!(Instant::now() < until, "{text} is not done");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_servers_under_calls_cost_no_effect_twice_and_no_entry() {
    const INPUTS: usize = 300;
    let started = tokio::task::spawn_blocking(|| {
        let fleet = NatsFleet(NatsServers::start(3, &["alpha"]));
        let runtime = FleetRuntime::start(&fleet, "alpha");
        (fleet, runtime)
    });
    let (fleet, _runtime) = started.await.unwrap();
    let client = client(&fleet, "alpha").await;
    let wasm = std::fs::read(guest("scribe")).unwrap();
    let bytes = futures_util::stream::once(async { Ok(wasm.into()) });
    let component = client.put_component(Box::pin(bytes), Role::Admin).await.unwrap();
    let spec = WorkerSpec::new(component.item.digest);
    let made = client.create(CreateWorker { worker_id: None, spec }).await.unwrap();
    let worker = made.item.worker_id;
    let mut stream = client.subscribe(worker, Some(Cursor(0)), None).await.unwrap();
    let reader = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(entry) = stream.next().await {
            let entry = entry.unwrap();
            let is_last = entry.kind == EntryKind::Event && entry.payload.body[..] == *b"last";
            seen.push(entry);
            if is_last {
                break;
            }
        }
        seen
    });
    for n in 0..INPUTS {
        // Members are connected to any of them.
        match n {
            50 | 110 | 170 => fleet.0.kill((n - 50) / 60 + 1),
            80 | 140 | 200 => {
                tokio::task::block_in_place(|| fleet.0.start_again((n - 80) / 60 + 1))
            }
            _ => {}
        }
        send(&client, worker, &format!("emit tick {n}")).await;
    }
    send(&client, worker, "emit tick last").await;
    let seen = tokio::time::timeout(PATIENCE, reader).await.unwrap().unwrap();
    let seqs: Vec<u64> = seen.iter().map(|entry| entry.seq.0).collect();
    assert_eq!(seqs, (1..=seen.len() as u64).collect::<Vec<_>>(), "something is lost or repeated");
    let events = seen.iter().filter(|entry| entry.kind == EntryKind::Event);
    let events: Vec<String> =
        events.map(|entry| String::from_utf8_lossy(&entry.payload.body).into_owned()).collect();
    let wanted: Vec<String> =
        (0..INPUTS).map(|n| n.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(events, wanted);
}
