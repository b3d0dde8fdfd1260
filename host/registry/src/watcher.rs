//! A watcher of changes that other processes make to `registry.db`, through `skep remote` and `skep
//! token`.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use crate::fleet::Fleet;
use crate::sites::Sites;
use crate::{Registrar, RegistryError};

/// Interval between checks.
const LOOK: Duration = Duration::from_millis(500);

/// The watcher's thread.
pub(crate) struct Watcher {
    sender: Mutex<Option<Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Watcher {
    /// Loads the remotes and starts to watch for changes.
    pub(crate) fn start(
        registrar: &Registrar,
        fleet: Arc<Fleet>,
        sites: Arc<Sites>,
    ) -> Result<Self, RegistryError> {
        let connection = registrar.database.reader()?;
        // The version is read before the remotes, so that no change is missed.
        let seen = version(&connection)?;
        fleet.set_added(registrar.remotes().list()?);
        let (sender, receiver) = channel();
        let registrar = registrar.clone();
        let thread = std::thread::Builder::new().name("skep-registry".into());
        let loaded = Loaded { registrar, fleet, sites };
        let thread = thread.spawn(move || watch(&connection, seen, &receiver, &loaded));
        let thread = thread.map_err(|_| RegistryError::Io)?;
        Ok(Self { sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Triggers a check now.
    pub(crate) fn check_now(&self) {
        let sender = self.sender.lock().expect("the critical section does not panic");
        // After `close` there is no thread to notify.
        let _sent = sender.as_ref().map(|sender| sender.send(()));
    }

    /// Stops the thread.
    pub(crate) fn close(&self) {
        drop(self.sender.lock().expect("the critical section does not panic").take());
        let thread = self.thread.lock().expect("the critical section does not panic").take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the registry's watcher thread panicked");
        }
    }
}

/// Returns a number that changes with each commit of another connection.
fn version(connection: &Connection) -> Result<i64, RegistryError> {
    let mut statement = connection.prepare_cached("PRAGMA data_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// The parts that are loaded from the file.
struct Loaded {
    registrar: Registrar,
    fleet: Arc<Fleet>,
    sites: Arc<Sites>,
}

fn watch(connection: &Connection, mut seen: i64, receiver: &Receiver<()>, loaded: &Loaded) {
    let Loaded { registrar, fleet, sites } = loaded;
    let mut failed = false;
    loop {
        let requested = match receiver.recv_timeout(LOOK) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let look = || {
            let now = version(connection)?;
            if requested || now != seen {
                fleet.set_added(registrar.remotes().list()?);
                sites.load()?;
                registrar.access().recheck_streams();
            }
            Ok::<_, RegistryError>(now)
        };
        match look() {
            Ok(now) => (seen, failed) = (now, false),
            Err(error) => {
                // Keep the last known state, and log the error once.
                if !std::mem::replace(&mut failed, true) {
                    tracing::error!(%error, "registry.db cannot be read");
                }
            }
        }
    }
}
