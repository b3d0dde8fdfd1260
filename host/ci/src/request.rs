//! A job as the request that a runtime takes, and back.

use std::sync::Arc;

use skep_protocol::step::{CopiedTree, ExpectedEnds, StepCache, StepRetries, StepSpec};
use skep_protocol::{LimitChanges, LimitName, Limits};

use crate::action_run::CachePolicy;
use crate::bounds::MOST_LOG;
use crate::executor::StepJob;
use crate::expected::{CAUSES, Expected, MOST_RETRIES, OF_GUESTS, Retries};
use crate::guest_path;
use crate::log::LogWriter;
use crate::pattern::Pattern;
use crate::prepare::MOST_ARGS;
use crate::step_maker::MOST_RUNS;

/// Maximum number of patterns.
const MOST_PATTERNS: usize = 1_000;

/// The specification is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the specification of the step is malformed")]
pub struct SpecError;

impl StepJob {
    /// Returns what a runtime has to know of the job.
    pub fn spec(&self) -> StepSpec {
        let defaults = Limits::default();
        let limits = LimitName::ALL.iter().filter(|name| name.is_per_worker());
        let limits = limits.map(|name| (*name, self.limits.get(*name)));
        let copied = self.copied.as_ref();
        StepSpec {
            id: self.id.clone(),
            tool: self.tool.clone(),
            component: self.component,
            isolated: self.isolated,
            argv: self.argv.clone(),
            env: self.env.iter().cloned().collect(),
            stdin: self.stdin,
            trees: self.trees.iter().cloned().collect(),
            copied: copied.map(|(guest, tree)| CopiedTree { guest: guest.clone(), tree: *tree }),
            out: self.out.iter().map(Pattern::spelling).collect(),
            limits: LimitChanges(
                limits.filter(|(name, value)| defaults.get(*name) != *value).collect(),
            ),
            log_bytes: self.log_bytes,
            seed: self.seed,
            deterministic: self.deterministic,
            http: self.http.clone(),
            secrets: self.secrets.clone(),
            expected: ExpectedEnds {
                outcomes: self.expected.outcomes.clone(),
                exits: self.expected.exits.clone(),
            },
            retries: StepRetries { most: self.retries.most, on: self.retries.on.clone() },
            verify: self.verify,
            junit: self.junit.clone(),
            cacheable: self.cacheable,
        }
    }

    /// Makes the job that a caller asks for. Everything in it comes from outside.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn from_spec(spec: &StepSpec, log: Arc<LogWriter>) -> Result<Self, SpecError> {
        let bounded = spec.log_bytes <= MOST_LOG
            && !spec.argv.is_empty()
            && spec.argv.len() <= MOST_ARGS
            && spec.retries.most <= MOST_RETRIES
            && (1..=MOST_RUNS).contains(&spec.verify)
            && spec.out.len() <= MOST_PATTERNS
            && spec.expected.outcomes.iter().all(|end| OF_GUESTS.contains(end))
            && spec.retries.on.iter().all(|end| CAUSES.contains(end))
            && spec.limits.0.keys().all(|name| name.is_per_worker());
        let words = spec.argv.iter().chain(spec.env.keys()).chain(spec.env.values());
        let has_zero = words.clone().any(|word| word.contains('\0'));
        let guests = spec.trees.keys().chain(spec.copied.iter().map(|copied| &copied.guest));
        let twice = spec.copied.iter().any(|copied| spec.trees.contains_key(&copied.guest));
        let malformed = guests.clone().any(|guest| !guest_path::is_mount(guest));
        if !bounded || has_zero || twice || malformed {
            return Err(SpecError);
        }
        // A real clock is not part of the key, and what a request answers depends on others.
        let depends = spec.seed.is_none() || !spec.http.is_empty();
        let out = spec.out.iter().map(|text| Pattern::parse(text).map_err(|_| SpecError));
        Ok(Self {
            id: spec.id.clone(),
            tool: spec.tool.clone(),
            component: spec.component,
            isolated: spec.isolated,
            argv: spec.argv.clone(),
            env: spec.env.clone().into_iter().collect(),
            stdin: spec.stdin,
            trees: spec.trees.clone().into_iter().collect(),
            copied: spec.copied.clone().map(|copied| (copied.guest, copied.tree)),
            out: out.collect::<Result<_, _>>()?,
            limits: spec.limits.over(&Limits::default()),
            log_bytes: spec.log_bytes,
            seed: spec.seed,
            deterministic: spec.deterministic,
            http: spec.http.clone(),
            secrets: spec.secrets.clone(),
            expected: Expected {
                outcomes: spec.expected.outcomes.clone(),
                exits: spec.expected.exits.clone(),
            },
            retries: Retries { most: spec.retries.most, on: spec.retries.on.clone() },
            verify: spec.verify,
            junit: spec.junit.clone(),
            cacheable: spec.cacheable && !depends,
            log,
        })
    }
}

impl From<StepCache> for CachePolicy {
    fn from(cache: StepCache) -> Self {
        match cache {
            StepCache::Use => Self::Use,
            StepCache::Refresh => Self::Refresh,
            StepCache::Off => Self::Off,
        }
    }
}

impl From<CachePolicy> for StepCache {
    fn from(policy: CachePolicy) -> Self {
        match policy {
            CachePolicy::Use => Self::Use,
            CachePolicy::Refresh => Self::Refresh,
            CachePolicy::Off => Self::Off,
        }
    }
}
