//! A case: what is run, and how it has to end.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use skep_protocol::{LimitName, Outcome, Rights, WorkerId};
use skep_sandbox::Isolation;

use crate::bed::{self, Bed};
use crate::seen::{Ends, Seen};

/// The most memory that a host may have over what it had before, where a case does not say more.
const PEAK: (u64, &str) = (48 << 20, "what is on its way in or out");

/// What will have been seen.
pub type Sight<'a> = Pin<Box<dyn Future<Output = Seen> + Send + 'a>>;

/// What a case does where running a guest once is not all.
pub type Own = for<'a> fn(&'a Bed) -> Sight<'a>;

/// What will have been found, in words where it is wrong.
pub type Found<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// What somebody else does to a worker in its turn.
pub type Meanwhile = for<'a> fn(&'a Bed, WorkerId) -> Found<'a>;

/// What is looked at between a worker's turn and its removal.
pub type Look = for<'a> fn(&'a Bed, WorkerId, &'a Outcome) -> Found<'a>;

/// What is run.
#[derive(Clone, Copy)]
pub enum What {
    /// The command that `tests/guests/hostile/src/bin/NAME.rs` is built to.
    Command,
    /// The file `tests/guests/hostile/wat/NAME.wat`, whatever it is.
    Text,
    /// The service of `tests/guests/hostile/service`, with the case's name as its input.
    Service,
    /// What `made/NAME.rs` makes, as a command.
    Made(fn() -> Vec<u8>),
    /// What `own/NAME.rs` does.
    Own(Own),
}

/// See the module's documentation.
#[derive(Clone)]
pub struct Case {
    /// Its name: that of the test, and of the file that does harm.
    pub name: &'static str,
    /// What is run.
    pub what: What,
    /// How it has to end.
    pub ends: Ends,
    /// How it has to end behind the second wall, where that is something else.
    pub walled_ends: Option<Ends>,
    /// Where it runs if it is a command.
    pub isolation: Isolation,
    /// The worker's limits, where they are not the defaults.
    pub limits: Vec<(LimitName, u64)>,
    /// The host's limits on components, where they are not the defaults.
    pub host_limits: Vec<(LimitName, u64)>,
    /// Limits that are hit although the end does not name them.
    pub hits: Vec<LimitName>,
    /// When the turn is cancelled, after it began; each time.
    pub cancels: Vec<Duration>,
    /// Directories of the operator: their name in the bed, where the guest has them, its rights.
    pub scopes: Vec<(&'static str, &'static str, Rights)>,
    /// What is put into the bed's directories before.
    pub prepare: Option<fn(&Bed)>,
    /// What somebody else does in its turn.
    pub meanwhile: Option<Meanwhile>,
    /// What is looked at after its turn.
    pub look: Option<Look>,
    /// Whether nothing may be left of its worker on the disk afterwards.
    pub leaves_nothing: bool,
    /// Whether going back to what the host held before is not asked for; why.
    pub holds: Option<&'static str>,
    /// The most memory that the host may have over what it had before, in bytes; what for.
    pub peak: (u64, &'static str),
    /// What it may do before it goes too far takes so long on a busy machine.
    pub approach: Duration,
}

impl Case {
    fn new(name: &'static str, what: What, ends: Ends) -> Self {
        Self {
            name,
            what,
            ends,
            walled_ends: None,
            isolation: Isolation::Thread,
            limits: Vec::new(),
            host_limits: Vec::new(),
            hits: Vec::new(),
            cancels: Vec::new(),
            scopes: Vec::new(),
            prepare: None,
            meanwhile: None,
            look: None,
            leaves_nothing: false,
            holds: None,
            peak: PEAK,
            approach: Duration::ZERO,
        }
    }

    /// See [`What::Command`].
    pub fn command(name: &'static str, ends: Ends) -> Self {
        Self::new(name, What::Command, ends)
    }

    /// See [`What::Text`].
    pub fn text(name: &'static str, ends: Ends) -> Self {
        Self::new(name, What::Text, ends)
    }

    /// See [`What::Service`].
    pub fn service(name: &'static str, ends: Ends) -> Self {
        Self::new(name, What::Service, ends)
    }

    /// See [`What::Made`].
    pub fn made(name: &'static str, bytes: fn() -> Vec<u8>, ends: Ends) -> Self {
        Self::new(name, What::Made(bytes), ends)
    }

    /// See [`What::Own`].
    pub fn own(name: &'static str, own: Own, ends: Ends) -> Self {
        Self::new(name, What::Own(own), ends)
    }

    /// With another limit of its worker.
    pub fn with(mut self, name: LimitName, value: u64) -> Self {
        self.limits.push((name, value));
        self
    }

    /// With another limit of the host.
    pub fn host_with(mut self, name: LimitName, value: u64) -> Self {
        self.host_limits.push((name, value));
        self
    }

    /// Goes too far only after so much work that a busy machine takes this long for it.
    pub fn approaches_for(mut self, approach: Duration) -> Self {
        self.approach = approach;
        self
    }

    /// Hits this limit, although its end does not name it.
    pub fn hits(mut self, name: LimitName) -> Self {
        self.hits.push(name);
        self
    }

    /// Cancelled so long after its turn began. May be said again.
    pub fn cancelled_after(mut self, millis: u64) -> Self {
        self.cancels.push(Duration::from_millis(millis));
        self
    }

    /// With a directory of the operator: `read` or `write`, which have those rights.
    pub fn scope(mut self, name: &'static str, guest: &'static str, rights: Rights) -> Self {
        self.scopes.push((name, guest, rights));
        self
    }

    /// After this was done.
    pub fn after(mut self, prepare: fn(&Bed)) -> Self {
        self.prepare = Some(prepare);
        self
    }

    /// With this done in its turn.
    pub fn meanwhile(mut self, meanwhile: Meanwhile) -> Self {
        self.meanwhile = Some(meanwhile);
        self
    }

    /// With a look at what it has left.
    pub fn then(mut self, look: Look) -> Self {
        self.look = Some(look);
        self
    }

    /// Nothing may be left of its worker on the disk, soon after it was removed.
    pub fn leaves_nothing(mut self) -> Self {
        self.leaves_nothing = true;
        self
    }

    /// The host may hold more afterwards than it did, for this reason.
    pub fn holds(mut self, why: &'static str) -> Self {
        self.holds = Some(why);
        self
    }

    /// Ends otherwise behind the second wall.
    pub fn walled_ends(mut self, ends: Ends) -> Self {
        self.walled_ends = Some(ends);
        self
    }

    /// The same with its run in a process of its own, if that is where it can be: a command that has
    /// nothing but `wasi:*`, and is not refused before it runs.
    pub fn behind_the_wall(mut self) -> Option<Self> {
        let is_possible = match self.what {
            What::Text => !bed::text(self.name).contains("skep:"),
            What::Command | What::Made(_) => true,
            What::Service | What::Own(_) => false,
        };
        self.isolation = Isolation::Process;
        if !matches!(self.what, What::Made(_)) {
            // What the guest holds is its own process's. Many bytes still come in by way of the host.
            self.peak = PEAK;
        }
        self.ends = self.walled_ends.take().unwrap_or(self.ends);
        (is_possible && !self.ends.come_before_it_runs()).then_some(self)
    }

    /// The name of its test.
    pub fn title(&self) -> String {
        match self.isolation {
            Isolation::Process => format!("walled::{}", self.name),
            _ => self.name.to_owned(),
        }
    }

    /// The host may have so much memory over what it had before, for this reason.
    pub fn peaks(mut self, bytes: u64, why: &'static str) -> Self {
        self.peak = (bytes, why);
        self
    }

    /// The limits that it hits.
    pub fn all_hits(&self) -> Vec<LimitName> {
        self.hits.iter().copied().chain(self.ends.limit()).collect()
    }
}
