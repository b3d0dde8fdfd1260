//! A case: a hostile guest, file or caller, and the end that it must have.

use std::time::Duration;

use skep_protocol::{LimitName, Payload, Rights};
use skep_sandbox::Isolation;

use crate::attack::{Attack, Own};
use crate::bed::Bed;
use crate::expected::Expected;
use crate::guest;
use crate::hook::{Look, Meanwhile};

/// The peak of host memory over the level before, where a case does not set its own.
const PEAK: (u64, &str) = (48 << 20, "data in transit");

/// One row of the table of cases.
#[derive(Clone)]
pub struct Case {
    /// The name of the test, and of the file with the attack.
    pub name: &'static str,
    /// The attack.
    pub attack: Attack,
    /// The end that it must have.
    pub expected: Expected,
    /// The isolation of a command's run.
    pub isolation: Isolation,
    /// Changes of the worker's limits from the defaults.
    pub limits: Vec<(LimitName, u64)>,
    /// Changes of the host's limits on components from the defaults.
    pub host_limits: Vec<(LimitName, u64)>,
    /// Limits that are hit although the end does not name them.
    pub hits: Vec<LimitName>,
    /// Delays of the cancel requests. The first counts from the start of the turn, each other from
    /// the one before.
    pub cancels: Vec<Duration>,
    /// Operator directories: the name in the bed, the guest's path, the rights.
    pub scopes: Vec<(&'static str, &'static str, Rights)>,
    /// Fills the bed's directories before the turn.
    pub prepare: Option<fn(&Bed)>,
    /// Acts on the worker during its turn.
    pub meanwhile: Option<Meanwhile>,
    /// Checks the worker after its turn.
    pub look: Option<Look>,
    /// True if nothing of the worker may be left on the disk afterwards.
    pub leaves_nothing: bool,
    /// The reason why the host may hold more afterwards than before, if it may.
    pub holds: Option<&'static str>,
    /// The bound on the peak of host memory over the level before, in bytes, and what needs it.
    pub peak: (u64, &'static str),
    /// The time that a busy machine takes before the guest reaches the limit.
    pub approach: Duration,
}

impl Case {
    fn new(name: &'static str, attack: Attack, expected: Expected) -> Self {
        Self {
            name,
            attack,
            expected,
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

    /// See [`Attack::Command`].
    pub fn command(name: &'static str, expected: Expected) -> Self {
        Self::new(name, Attack::Command, expected)
    }

    /// See [`Attack::Text`].
    pub fn text(name: &'static str, expected: Expected) -> Self {
        Self::new(name, Attack::Text, expected)
    }

    /// See [`Attack::Service`].
    pub fn service(name: &'static str, expected: Expected) -> Self {
        Self::new(name, Attack::Service, expected)
    }

    /// See [`Attack::Made`].
    pub fn made(name: &'static str, bytes: fn() -> Vec<u8>, expected: Expected) -> Self {
        Self::new(name, Attack::Made(bytes), expected)
    }

    /// See [`Attack::Own`].
    pub fn own(name: &'static str, own: Own, expected: Expected) -> Self {
        Self::new(name, Attack::Own(own), expected)
    }

    /// Changes a limit of the worker.
    pub fn with(mut self, name: LimitName, value: u64) -> Self {
        self.limits.push((name, value));
        self
    }

    /// Changes a limit of the host.
    pub fn host_with(mut self, name: LimitName, value: u64) -> Self {
        self.host_limits.push((name, value));
        self
    }

    /// Allows this much time for the work before the limit is reached.
    pub fn approaches_for(mut self, approach: Duration) -> Self {
        self.approach = approach;
        self
    }

    /// Declares a limit that the case hits although its end does not name it.
    pub fn hits(mut self, name: LimitName) -> Self {
        self.hits.push(name);
        self
    }

    /// Cancels the turn this long after it began, or after the previous cancel.
    pub fn cancelled_after(mut self, millis: u64) -> Self {
        self.cancels.push(Duration::from_millis(millis));
        self
    }

    /// Grants an operator directory: `read` is read-only, `write` is writable.
    pub fn scope(mut self, name: &'static str, guest: &'static str, rights: Rights) -> Self {
        self.scopes.push((name, guest, rights));
        self
    }

    /// Prepares the bed before the turn.
    pub fn after(mut self, prepare: fn(&Bed)) -> Self {
        self.prepare = Some(prepare);
        self
    }

    /// Acts on the worker during its turn.
    pub fn meanwhile(mut self, meanwhile: Meanwhile) -> Self {
        self.meanwhile = Some(meanwhile);
        self
    }

    /// Checks the worker after its turn.
    pub fn then(mut self, look: Look) -> Self {
        self.look = Some(look);
        self
    }

    /// Requires that nothing of the worker is left on the disk soon after its removal.
    pub fn leaves_nothing(mut self) -> Self {
        self.leaves_nothing = true;
        self
    }

    /// Lets the host hold more afterwards than before, for this reason.
    pub fn holds(mut self, why: &'static str) -> Self {
        self.holds = Some(why);
        self
    }

    /// Returns the same case in a child process, or `None` if it cannot run there: only commands
    /// that import nothing but `wasi:*` and are not refused before they run can.
    pub fn out_of_process(mut self) -> Option<Self> {
        let is_possible = match self.attack {
            Attack::Text => !guest::text(self.name).contains("skep:"),
            Attack::Command | Attack::Made(_) => true,
            Attack::Service | Attack::Own(_) => false,
        };
        self.isolation = Isolation::Process;
        if !matches!(self.attack, Attack::Made(_)) {
            // The guest's own memory is the child's. Generated bytes still pass through the host.
            self.peak = PEAK;
        }
        (is_possible && !self.expected.is_before_run()).then_some(self)
    }

    /// Returns the name of the test.
    pub fn title(&self) -> String {
        match self.isolation {
            Isolation::Process => format!("out_of_process::{}", self.name),
            _ => self.name.to_owned(),
        }
    }

    /// Sets the bound on the peak of host memory, and what needs it.
    pub fn peaks(mut self, bytes: u64, why: &'static str) -> Self {
        self.peak = (bytes, why);
        self
    }

    /// Returns the bytes of the attack, unless it is a function.
    pub(crate) fn wasm(&self) -> Vec<u8> {
        match self.attack {
            Attack::Command => {
                std::fs::read(guest::built(&format!("hostile/{}", self.name))).unwrap()
            }
            Attack::Text => wat::parse_str(guest::text(self.name)).unwrap(),
            Attack::Service => std::fs::read(guest::built("misbehaves")).unwrap(),
            Attack::Made(bytes) => bytes(),
            Attack::Own(_) => panic!("{} is a function", self.name),
        }
    }

    /// Returns the input for the case's worker.
    pub(crate) fn input(&self) -> Payload {
        match self.attack {
            Attack::Service => guest::message(self.name),
            _ => guest::run_request(&[]),
        }
    }

    /// Lists the limits that the case hits.
    pub fn all_hits(&self) -> Vec<LimitName> {
        self.hits.iter().copied().chain(self.expected.limit()).collect()
    }
}
