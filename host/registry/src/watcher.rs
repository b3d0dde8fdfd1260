//! Notices what other processes change in `registry.db`: `skep remote`, `skep token`.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use crate::fleet::Fleet;
use crate::{Registrar, RegistryError};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// The thread that looks.
pub(crate) struct Watcher {
    sender: Mutex<Option<Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Watcher {
    /// Takes up the remotes that there are, and those that there will be.
    pub(crate) fn start(registrar: &Registrar, fleet: Arc<Fleet>) -> Result<Self, RegistryError> {
        let connection = registrar.database.reader()?;
        // What changes from here on is seen, and so is what there is.
        let seen = version(&connection)?;
        fleet.set(registrar.remotes().list()?);
        let (sender, receiver) = channel();
        let registrar = registrar.clone();
        let thread = std::thread::Builder::new().name("skep-registry".into());
        let thread = thread.spawn(move || watch(&connection, seen, &receiver, &registrar, &fleet));
        let thread = thread.map_err(|_| RegistryError::Io)?;
        Ok(Self { sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Has it look now.
    pub(crate) fn look(&self) {
        let sender = self.sender.lock().expect("nobody panics with it in hand");
        // After the end there is nobody to look.
        let _sent = sender.as_ref().map(|sender| sender.send(()));
    }

    /// Has it end.
    pub(crate) fn close(&self) {
        drop(self.sender.lock().expect("nobody panics with it in hand").take());
        let thread = self.thread.lock().expect("nobody panics with it in hand").take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the registry's thread panicked");
        }
    }
}

/// Changes with each commit of another connection.
fn version(connection: &Connection) -> Result<i64, RegistryError> {
    let mut statement = connection.prepare_cached("PRAGMA data_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn watch(
    connection: &Connection,
    mut seen: i64,
    receiver: &Receiver<()>,
    registrar: &Registrar,
    fleet: &Fleet,
) {
    let mut failed = false;
    loop {
        let asked = match receiver.recv_timeout(LOOK) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let look = || {
            let now = version(connection)?;
            if asked || now != seen {
                fleet.set(registrar.remotes().list()?);
                registrar.access().look();
            }
            Ok::<_, RegistryError>(now)
        };
        match look() {
            Ok(now) => (seen, failed) = (now, false),
            Err(error) => {
                // What was there stays; it is said once.
                if !std::mem::replace(&mut failed, true) {
                    tracing::error!(%error, "registry.db cannot be read");
                }
            }
        }
    }
}
