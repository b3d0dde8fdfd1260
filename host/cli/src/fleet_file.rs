//! The files of a fleet's members: for a runtime, and for a host that finds runtimes. `skep fleet init`
//! writes them, and `--fleet` reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use skep_fleet::{FleetAccess, SubjectPart};
use skep_protocol::RuntimeId;

use crate::failure::Failed;

/// The servers of a fleet, and the key of one member.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct FleetServers {
    /// URLs of the servers.
    pub(crate) servers: Vec<String>,
    /// The certificate of the fleet's authority, from the folder of the file.
    pub(crate) ca: Option<PathBuf>,
    /// The seed of the member's key.
    pub(crate) key: String,
}

/// The file of the operator, who asks the servers how they are.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct OperatorFile {
    #[serde(flatten)]
    pub(crate) servers: FleetServers,
    /// True in this file only.
    pub(crate) is_operator: bool,
    /// The servers that each keep what the fleet stores.
    pub(crate) replicas: usize,
}

/// The file of a runtime.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct RuntimeFile {
    #[serde(flatten)]
    pub(crate) servers: FleetServers,
    pub(crate) pool: String,
    pub(crate) runtime_id: RuntimeId,
    /// The token that hosts send.
    pub(crate) token: String,
}

/// The file of a host that finds runtimes.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct ApiFile {
    #[serde(flatten)]
    pub(crate) servers: FleetServers,
    /// The fleet's name, which no other has.
    pub(crate) fleet: String,
    /// The seed of the key with which hosts reach their log.
    pub(crate) hosts_key: String,
    /// The servers that each keep what the fleet stores.
    pub(crate) replicas: usize,
    pub(crate) runtimes: BTreeMap<RuntimeId, RuntimeAccess>,
}

/// The pool of a runtime, and the token that it accepts.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct RuntimeAccess {
    pub(crate) pool: String,
    pub(crate) token: String,
}

impl RuntimeFile {
    pub(crate) fn read(path: &Path) -> Result<Self, Failed> {
        read(path)
    }

    pub(crate) fn to_toml(&self) -> Result<String, Failed> {
        write(self)
    }
}

impl OperatorFile {
    pub(crate) fn read(path: &Path) -> Result<Self, Failed> {
        read(path)
    }

    pub(crate) fn to_toml(&self) -> Result<String, Failed> {
        write(self)
    }
}

impl ApiFile {
    pub(crate) fn read(path: &Path) -> Result<Self, Failed> {
        read(path)
    }

    pub(crate) fn to_toml(&self) -> Result<String, Failed> {
        write(self)
    }
}

impl ApiFile {
    /// Returns the access to the log of the hosts, from the file at `path`.
    pub(crate) fn log_access(&self, path: &Path, name: &str) -> FleetAccess {
        FleetAccess { seed: self.hosts_key.clone(), ..self.servers.access(path, name) }
    }
}

impl FleetServers {
    /// Returns the access of a member with this name, whose file is at `path`.
    pub(crate) fn access(&self, path: &Path, name: &str) -> FleetAccess {
        let folder = path.parent().unwrap_or(Path::new(""));
        FleetAccess {
            servers: self.servers.clone(),
            ca: self.ca.as_ref().map(|ca| folder.join(ca)),
            seed: self.key.clone(),
            name: name.to_owned(),
        }
    }
}

/// Checks the name of a pool.
pub(crate) fn pool(name: &str) -> Result<SubjectPart, Failed> {
    name.parse().map_err(|error| Failed::refused(format!("the pool {name:?}: {error}")))
}

fn write(file: &impl Serialize) -> Result<String, Failed> {
    toml::to_string(file).map_err(|error| Failed::internal(error.to_string()))
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Failed> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failed::here(format!("cannot read the fleet file {shown}: {error}")))?;
    toml::from_str(&text).map_err(|error| {
        // The parser's own words may repeat a key.
        let line = error.span().map(|span| text[..span.start].lines().count().max(1));
        let line = line.map_or(String::new(), |line| format!(", line {line}"));
        Failed::refused(format!("the fleet file {shown}{line} is not one of this kind"))
            .hint("`skep fleet init` writes these files: runtime-ID.toml for `skep runtime`, api.toml for `skep up`, operator.toml for `skep doctor`")
    })
}
