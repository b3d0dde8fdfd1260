//! The components and config bundles of the workers, identified by small numbers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use skep_protocol::worker::LimitChanges;
use skep_protocol::{ComponentDigest, ConfigDigest, ConfigValues, LimitName, Version, WorkerSpec};

use crate::line::{Build, BuildKind};

/// The number of versions, each with another component or config or both.
pub(crate) const VERSIONS: u32 = 6;

/// The variants that workers use. The first ones are of the service, by version.
const TALLIES: usize = 2;
const COMMAND: usize = 2;

/// Variants that no worker uses, to be stored and removed.
pub(crate) const SPARE: [usize; 2] = [3, 4];

/// The transcript limit of workers whose transcript is to be trimmed, in bytes.
const SHORT: u64 = 20_000;

/// The built guests.
pub(crate) struct Wasm(Vec<(ComponentDigest, Vec<u8>)>);

impl Wasm {
    pub(crate) fn read(guests: &Path) -> Self {
        let read = |name: &str| fs::read(guests.join(name)).unwrap();
        let tally = read("tally.wasm");
        let all = [
            variant(&tally, 0),
            variant(&tally, 1),
            read("hello.wasm"),
            variant(&tally, 3),
            variant(&tally, 4),
        ];
        let digest = |wasm: &[u8]| ComponentDigest::from_sha256(Sha256::digest(wasm).into());
        Self(all.into_iter().map(|wasm| (digest(&wasm), wasm)).collect())
    }

    /// Returns the variants that every creation needs.
    pub(crate) fn used() -> std::ops::RangeInclusive<usize> {
        0..=COMMAND
    }

    pub(crate) fn bytes(&self, variant: usize) -> &[u8] {
        &self.0[variant].1
    }

    pub(crate) fn digest(&self, variant: usize) -> ComponentDigest {
        self.0[variant].0
    }

    pub(crate) fn variants(&self) -> impl Iterator<Item = (usize, ComponentDigest)> {
        self.0.iter().map(|(digest, _)| *digest).enumerate()
    }

    /// Returns the spec for the creation of a worker.
    pub(crate) fn spec(&self, build: Build) -> WorkerSpec {
        let version = self.version(build.kind, build.version);
        let mut spec = WorkerSpec::new(version.component);
        spec.config = version.config;
        spec.display_ref = Some(display_ref(build.version).parse().unwrap());
        if build.kind == BuildKind::ShortTally {
            spec.limits = LimitChanges(BTreeMap::from([(LimitName::transcript_bytes, SHORT)]));
        }
        spec
    }

    /// Returns the component and config of a version.
    pub(crate) fn version(&self, kind: BuildKind, version: u32) -> Version {
        let variant = match kind {
            BuildKind::Command => COMMAND,
            BuildKind::Tally | BuildKind::ShortTally => version as usize % TALLIES,
        };
        Version { component: self.digest(variant), config: Some(config_digest(version)) }
    }

    /// Returns the version with this component and config, if there is one.
    pub(crate) fn known(&self, kind: BuildKind, found: &Version) -> Option<u32> {
        (0..VERSIONS).find(|version| self.version(kind, *version) == *found)
    }
}

/// Returns the display reference of a version.
pub(crate) fn display_ref(version: u32) -> String {
    format!("v{version}")
}

pub(crate) fn config(version: u32) -> ConfigValues {
    let values = BTreeMap::from([("version".to_owned(), version.to_string())]);
    ConfigValues::try_from(values).unwrap()
}

pub(crate) fn config_digest(version: u32) -> ConfigDigest {
    ConfigDigest::from_sha256(Sha256::digest(config(version).canonical_bytes()).into())
}

/// Returns the same component with another digest: it gets an unused custom section.
fn variant(wasm: &[u8], number: u8) -> Vec<u8> {
    let mut wasm = wasm.to_vec();
    // The kind, the size, the length of the name, the name, the content.
    wasm.extend([0, 9, 7]);
    wasm.extend(b"variant");
    wasm.push(number);
    wasm
}
