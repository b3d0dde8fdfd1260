//! The membership of a host in a fleet: what connects NATS with the server, the client and the registry.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use skep_api::Listener;
use skep_client::{ByteStream, Client, Dial, Dialing, Token};
use skep_fleet::{
    Dialer, FleetConnection, FleetError, FleetListener, FoundRuntimes, HostLog, NatsStream,
    RuntimeRecord, StreamFlusher, SubjectPart,
};
use skep_protocol::{HostId, RuntimeHandle, RuntimeId};
use skep_registry::{ConnectError, DiscoveredRuntime, Discovery, SharedAccess, UnusableRuntime};
use skep_runtime::Embedded;
use tokio::sync::watch;

use crate::failure::Failed;
use crate::fleet_file::{ApiFile, RuntimeFile, pool};

/// Time that the last answers get to leave.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// A runtime that listens in its fleet.
pub(super) struct RuntimeMember {
    connection: FleetConnection,
    listener: FleetListener,
    pool: SubjectPart,
}

impl RuntimeMember {
    /// Connects, and listens.
    pub(super) async fn start(path: &Path, file: &RuntimeFile) -> Result<Self, Failed> {
        let pool = pool(&file.pool)?;
        let access = file.servers.access(path, file.runtime_id.as_str());
        let connection = FleetConnection::open(&access).await.map_err(failed)?;
        let listener = FleetListener::start(&connection, &pool, &file.runtime_id);
        let listener = listener.await.map_err(failed)?;
        Ok(Self { connection, listener, pool })
    }

    /// Announces the runtime from now on, and returns its listener.
    pub(super) fn announce(
        self,
        runtime: Embedded,
        runtime_id: RuntimeId,
        host_id: HostId,
    ) -> (FleetStreams, Announced) {
        let Self { connection, listener, pool } = self;
        let record = RuntimeRecord {
            runtime_id,
            host_id,
            pool: pool.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: listener.process().to_string(),
        };
        let announcing = tokio::spawn(async move {
            skep_fleet::announce(&connection, &pool, &record, &runtime).await;
        });
        let announced = Announced { task: announcing.abort_handle(), streams: listener.flusher() };
        (FleetStreams(listener), announced)
    }
}

/// A runtime that its fleet knows.
pub(super) struct Announced {
    task: tokio::task::AbortHandle,
    streams: StreamFlusher,
}

impl Announced {
    /// Ends the signs of life, and waits a moment until the last answers have left.
    pub(super) async fn end(self) {
        self.task.abort();
        let _ = tokio::time::timeout(LAST_ANSWERS, self.streams.flush()).await;
    }
}

/// The streams that are opened to a runtime, as a listener of a server.
pub(super) struct FleetStreams(FleetListener);

impl Listener for FleetStreams {
    type Stream = NatsStream;

    async fn accept(&mut self) -> io::Result<(NatsStream, SocketAddr)> {
        // Streams have no address, so wrong tokens from all of them count together: under one of the
        // prefix that is for discarding, which no client has.
        let peer = SocketAddr::from((Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1), 0));
        match self.0.accept().await {
            Some(stream) => Ok((stream, peer)),
            // The connection has ended for good, which it does with the process.
            None => std::future::pending().await,
        }
    }
}

/// The runtimes of a fleet, as a registry sees them.
pub(super) struct FleetRuntimes {
    /// The connection to the log of the hosts.
    log: FleetConnection,
    dialer: Dialer,
    file: ApiFile,
    found: watch::Receiver<Arc<Vec<DiscoveredRuntime>>>,
}

impl FleetRuntimes {
    /// Connects, and finds runtimes from now on.
    pub(super) async fn start(path: &Path, file: ApiFile) -> Result<Self, Failed> {
        for access in file.runtimes.values() {
            pool(&access.pool)?;
        }
        let access = file.servers.access(path, "skep-up");
        let connection = FleetConnection::open(&access).await.map_err(failed)?;
        let log = file.log_access(path, "skep-up-log");
        let log = FleetConnection::open(&log).await.map_err(failed)?;
        let dialer = Dialer::start(&connection).await.map_err(failed)?;
        let discovered = skep_fleet::discover(&connection, file.replicas);
        let known = file.clone();
        let (told, found) = watch::channel(Arc::default());
        tokio::spawn(async move {
            let mut discovered = discovered;
            loop {
                let runtimes = discovered.borrow_and_update().clone();
                told.send_replace(Arc::new(discovered_runtimes(&runtimes, &known)));
                tokio::select! {
                    changed = discovered.changed() => if changed.is_err() { return },
                    () = told.closed() => return,
                }
            }
        });
        Ok(Self { log, dialer, file, found })
    }

    /// Returns what this host shares with the others of its fleet.
    pub(super) fn shared_access(&self) -> SharedAccess {
        let log = HostLog::new(&self.log, self.file.replicas);
        SharedAccess { fleet: self.file.fleet.clone(), log: Arc::new(log) }
    }
}

fn discovered_runtimes(found: &FoundRuntimes, file: &ApiFile) -> Vec<DiscoveredRuntime> {
    let discovered = found.iter().map(|(id, runtime)| {
        let known = file.runtimes.get(id).is_some_and(|known| known.pool == runtime.record.pool);
        let unusable = match (known, runtime.is_duplicate) {
            (false, _) => Some(UnusableRuntime::Unknown),
            (true, true) => Some(UnusableRuntime::Duplicate),
            (true, false) => None,
        };
        DiscoveredRuntime { runtime_id: id.clone(), unusable }
    });
    discovered.collect()
}

impl Discovery for FleetRuntimes {
    fn follow(&self) -> watch::Receiver<Arc<Vec<DiscoveredRuntime>>> {
        self.found.clone()
    }

    fn connect(&self, id: &RuntimeId) -> Result<Arc<dyn RuntimeHandle>, ConnectError> {
        let access = self.file.runtimes.get(id).ok_or(ConnectError)?;
        let pool = access.pool.parse().map_err(|_| ConnectError)?;
        let dial = FleetDial { dialer: self.dialer.clone(), pool, runtime: id.clone() };
        let client = Client::dialed(Arc::new(dial), Token::Text(access.token.clone()));
        Ok(Arc::new(client.map_err(|_| ConnectError)?))
    }
}

/// Opens streams to one runtime.
struct FleetDial {
    dialer: Dialer,
    pool: SubjectPart,
    runtime: RuntimeId,
}

impl Dial for FleetDial {
    fn dial(&self) -> Dialing {
        let (dialer, pool, runtime) =
            (self.dialer.clone(), self.pool.clone(), self.runtime.clone());
        Box::pin(async move {
            let stream: Box<dyn ByteStream> = Box::new(dialer.dial(&pool, &runtime).await?);
            Ok(stream)
        })
    }
}

fn failed(error: FleetError) -> Failed {
    Failed::here(error.to_string()).hint(
        "check that the servers run, and that the file is the one `skep fleet init` wrote for them",
    )
}
