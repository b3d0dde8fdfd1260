//! The conformance of a runtime that is reached through NATS.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use skep_client::Client;
use skep_conformance::{Guest, Restart, Subject};
use skep_harness::TestDir;
use skep_protocol::{Overview, RuntimeHandle};

use super::{NatsFleet, PATIENCE, client};
use crate::served::{Served, prepared};

/// A runtime that is reached through NATS.
struct FleetSubject {
    fleet: NatsFleet,
    runtime: Mutex<Served>,
    dir: TestDir,
    client: Client,
}

impl FleetSubject {
    async fn open() -> Self {
        let started = tokio::task::spawn_blocking(|| {
            let (fleet, dir) = (NatsFleet::start(&["alpha"]), prepared());
            let runtime = fleet.runtime("alpha", &dir);
            (fleet, dir, runtime)
        });
        let (fleet, dir, runtime) = started.await.unwrap();
        let client = client(&fleet, "alpha").await;
        Self { fleet, runtime: Mutex::new(runtime), dir, client }
    }
}

#[async_trait::async_trait]
impl Subject for FleetSubject {
    fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        Arc::new(self.client.clone())
    }

    async fn restart(&self, how: Restart) {
        {
            let mut runtime = self.runtime.lock().unwrap();
            match how {
                Restart::Clean => runtime.terminate(),
                Restart::Crash => runtime.kill(),
            }
            *runtime = self.fleet.runtime("alpha", &self.dir);
        }
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
