//! Runtimes that dial out to NATS servers, and the hosts that find them there.

mod doctor;
mod files;
mod finding;
mod hosts;
mod servers;
mod subject;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use skep_client::{ByteStream, Client, Dial, Dialing, Token};
use skep_fleet::{Dialer, FleetAccess, FleetConnection, SubjectPart};
use skep_harness::{NatsServers, TestDir};
use skep_protocol::RuntimeId;

use crate::hosting::{Said, skep};
use crate::served::{Served, Serves, prepared};

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

    /// Starts a runtime, with a new store or with one that it had before.
    fn runtime(&self, id: &str, dir: &Path) -> Served {
        let file = self.file(&format!("runtime-{id}.toml"));
        let runtime = Served::start_with(Serves::Runtime, dir, &["--fleet", text(&file)]);
        assert_eq!((runtime.runtime_id.as_str(), runtime.url.as_str()), (id, ""));
        runtime
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

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
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

/// Makes a client that reaches a runtime through the servers.
async fn client(fleet: &NatsFleet, id: &str) -> Client {
    let (access, file) = fleet.access("api.toml");
    let dialer = Dialer::start(&FleetConnection::open(&access).await.unwrap()).await.unwrap();
    let token = file["runtimes"][id]["token"].as_str().unwrap().to_owned();
    let dial = TestDial(dialer, "default".parse().unwrap(), id.parse().unwrap());
    Client::dialed(Arc::new(dial), Token::Text(token)).unwrap()
}

/// A host of a fleet.
struct FleetHost {
    host: Served,
    dir: TestDir,
}

impl FleetHost {
    fn start(fleet: &NatsFleet) -> Self {
        let dir = prepared();
        Self { host: Self::serve(fleet, &dir), dir }
    }

    /// Starts a host, with a new store or with one that it had before.
    fn serve(fleet: &NatsFleet, dir: &Path) -> Served {
        Served::start_with(Serves::Up, dir, &["--fleet", text(&fleet.file("api.toml"))])
    }

    fn skep(&self, arguments: &[&str]) -> Said {
        skep(&self.dir, arguments)
    }

    /// Runs a command on this host that must succeed.
    fn good(&self, arguments: &[&str]) -> Value {
        let said = self.skep(&[arguments, &["--output", "json"]].concat());
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.err);
        said.json()
    }

    /// Sends an input to a worker, and returns its output.
    fn echo(&self, worker: &str, word: &str) -> Result<String, String> {
        let said = self.skep(&["worker", "send", worker, "echo", word]);
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

fn find<'a>(list: &'a Value, id: &str) -> Option<&'a Value> {
    list["items"].as_array().unwrap().iter().find(|one| one["runtime_id"] == id)
}

/// Returns true if a diagnostic about this runtime contains the text.
fn has_diagnostic(list: &Value, id: &str, text: &str) -> bool {
    let all = list["diagnostics"].as_array().into_iter().flatten();
    all.map(Value::to_string).any(|one| one.contains(id) && one.contains(text))
}
