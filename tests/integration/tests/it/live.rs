//! A live instance driven by a test: the sandbox as a library, with a record in memory.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};

use skep_protocol::{Limits, Payload};
use skep_sandbox::stdio::GuestOutput;
use skep_sandbox::{
    Cost, Ended, GuestSpec, Identity, InProcessCompiler, Incremental, Instance, KillSwitch, Loaded,
    Outbound, Profile, RecordError, Sandbox, SandboxParts, TranscriptPage, Turn, Wasi03,
};
use tokio::sync::Semaphore;

/// The effects of turns, for the test to check.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) state: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) events: Mutex<Vec<String>>,
    /// One permit per `emit` call.
    pub(crate) emitting: Semaphore,
    /// One permit per `emit` that may complete.
    pub(crate) room: Semaphore,
}

impl Notes {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_room(Semaphore::MAX_PERMITS)
    }

    /// Makes notes in which each event waits for room.
    pub(crate) fn with_room(room: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            events: Mutex::default(),
            emitting: Semaphore::new(0),
            room: Semaphore::new(room),
        })
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }

    /// Makes the record of a turn with its notes here.
    pub(crate) fn turn(self: &Arc<Self>, input_id: &str) -> Box<Record> {
        self.configured(input_id, &[])
    }

    pub(crate) fn configured(
        self: &Arc<Self>,
        input_id: &str,
        config: &[(&str, &str)],
    ) -> Box<Record> {
        let config = config.iter().map(|&(key, value)| (key.into(), value.into())).collect();
        let identity = Identity {
            runtime_id: "some-runtime".into(),
            worker_id: "some-worker".into(),
            input_id: Some(input_id.into()),
            attempt: 1,
        };
        Box::new(Record { identity, config, notes: self.clone() })
    }
}

pub(crate) struct Record {
    identity: Identity,
    config: BTreeMap<String, String>,
    notes: Arc<Notes>,
}

#[async_trait::async_trait]
impl Turn for Record {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn config(&self, key: &str) -> Option<String> {
        self.config.get(key).cloned()
    }

    fn config_all(&self) -> Vec<(String, String)> {
        self.config.clone().into_iter().collect()
    }

    fn state_get(&mut self, key: &str) -> Result<Option<Vec<u8>>, RecordError> {
        Ok(self.notes.state.lock().unwrap().get(key).cloned())
    }

    fn state_set(&mut self, key: &str, value: Vec<u8>) -> Result<(), RecordError> {
        self.notes.state.lock().unwrap().insert(key.into(), value);
        Ok(())
    }

    fn state_delete(&mut self, key: &str) -> Result<bool, RecordError> {
        Ok(self.notes.state.lock().unwrap().remove(key).is_some())
    }

    fn state_list(
        &mut self,
        _prefix: &str,
        _after: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<String>, RecordError> {
        Ok(self.notes.keys())
    }

    async fn emit(&mut self, kind: &str, _type: &str, body: Vec<u8>) -> Result<(), RecordError> {
        self.notes.emitting.add_permits(1);
        self.notes.room.acquire().await.unwrap().forget();
        let body = String::from_utf8(body).unwrap();
        self.notes.events.lock().unwrap().push(format!("{kind} {body}"));
        Ok(())
    }

    fn read(&mut self, _after: u64, _limit: usize) -> Result<TranscriptPage, RecordError> {
        Ok(TranscriptPage::default())
    }
}

/// The sandbox that all tests of this process share.
pub(crate) fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        // Removed when this returns: the open directory still takes writes.
        let cache = cap_tempfile::tempdir(cap_std::ambient_authority()).unwrap();
        let cache = cache.into_dir().unwrap();
        Sandbox::start(SandboxParts {
            cores: 2,
            workers: 100,
            compiler: Arc::new(InProcessCompiler),
            cache: Some(cache),
            incremental: Incremental::Off,
            limits: Limits::default(),
            outbound: Outbound::default(),
            wasi_0_3: Wasi03::Off,
        })
        .unwrap()
    })
}

/// Loads a guest of this tree, once per profile.
pub(crate) fn load(guest: &str, profile: Profile) -> Arc<Loaded> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let wasm = std::fs::read(skep_harness::guest(guest)).unwrap();
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    sandbox().load(&wasm, profile).unwrap().0
}

/// Runs a future on the threads for guests.
pub(crate) fn go<T>(future: impl Future<Output = T>) -> T {
    sandbox().guests().block_on(future)
}

/// A scribe and its standard error.
pub(crate) struct Live {
    pub(crate) instance: Instance,
    stderr: GuestOutput,
}

impl Live {
    /// Connects a scribe with the record of its first turn.
    pub(crate) async fn scribe(limits: Limits, turn: Box<Record>) -> Self {
        Self::connect(&load("scribe", Profile::Default), limits, turn, Arc::default()).await
    }

    pub(crate) async fn connect(
        loaded: &Loaded,
        limits: Limits,
        turn: Box<Record>,
        kill: Arc<KillSwitch>,
    ) -> Self {
        let stderr = GuestOutput::captured(1 << 16);
        let spec = GuestSpec { limits, stderr: stderr.clone(), ..GuestSpec::default() };
        let instance = sandbox().connect(loaded, spec, turn, kill).await.unwrap();
        Self { instance, stderr }
    }

    /// Begins a turn.
    pub(crate) fn begin(&mut self, turn: Box<Record>) -> Arc<KillSwitch> {
        let kill = Arc::new(KillSwitch::default());
        self.instance.begin(turn, kill.clone());
        kill
    }

    /// Sends a command.
    pub(crate) async fn say(&mut self, command: &str) -> (Ended, Cost) {
        let content_type = "text/plain".into();
        self.instance.call(Payload { content_type, body: command.to_owned().into() }).await
    }

    /// Sends a command and returns the answer, or the code of the failure.
    pub(crate) async fn ask(&mut self, command: &str) -> String {
        match self.say(command).await.0 {
            Ended::Answered(output) => String::from_utf8(output.body.to_vec()).unwrap(),
            Ended::Failed { failure, .. } => failure.code,
            ended => panic!("{command:?} ended otherwise: {ended:?}"),
        }
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.stderr.contents()).unwrap()
    }
}
