//! The connection of a command to its host.

use std::path::PathBuf;

use clap::Args;
use skep_client::{Client, Endpoint, HostClient, Prefix, Token};
use skep_protocol::{ListWorkers, RuntimeId, Source, WorkerId, WorkerView, Workers};

use crate::ambient;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::running::RunningHost;
use crate::settings::{LocationArgs, Settings};

/// The flags that select a host and a runtime. Without them it is the host on this user's store,
/// and its own runtime.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct HostArgs {
    /// URL of the host [env: SKEP_HOST] [default: the host that runs on the store]
    #[arg(long, value_name = "URL")]
    host: Option<String>,

    /// File with the access token [env: SKEP_TOKEN, which holds the token itself]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Certificate of the authority that signed the host's certificate, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Runtime [default: the host's own]
    #[arg(long, value_name = "RUNTIME_ID")]
    runtime: Option<RuntimeId>,
}

/// The flags of a command that talks to a host.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectArgs {
    #[command(flatten)]
    host: HostArgs,

    #[command(flatten)]
    location: LocationArgs,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: OutputFormat,
}

/// A host that was found, and the runtime that was named.
pub(crate) struct HostConnection {
    endpoint: Endpoint,
    runtime: Option<RuntimeId>,
}

impl HostArgs {
    /// Returns true if a flag names a host or a runtime.
    pub(crate) fn is_given(&self) -> bool {
        self.host.is_some() || self.runtime.is_some()
    }

    /// Finds the host: the one that is named, or the one on the store of this location. Sends
    /// nothing yet.
    pub(crate) fn connect(&self, location: &LocationArgs) -> Result<HostConnection, Failed> {
        let named = self.host.clone().or_else(|| std::env::var("SKEP_HOST").ok());
        let variable = std::env::var("SKEP_TOKEN").ok().filter(|token| !token.is_empty());
        let given = match (&self.token_file, variable) {
            (Some(file), _) => Some(Token::File(file.clone())),
            (None, Some(token)) => Some(Token::Text(token)),
            (None, None) => None,
        };
        let (url, token) = match named.filter(|url| !url.is_empty()) {
            Some(url) => (url, given.unwrap_or(Token::None)),
            None => {
                let host = running(location)?;
                (host.url, given.unwrap_or(Token::Text(host.token)))
            }
        };
        let endpoint = endpoint(&url, token, self.ca_file.clone())?;
        Ok(HostConnection { endpoint, runtime: self.runtime.clone() })
    }
}

impl ConnectArgs {
    /// Finds the host. Sends nothing yet.
    pub(crate) fn connect(&self) -> Result<HostConnection, Failed> {
        self.host.connect(&self.location)
    }

    /// Returns the runtime that `--runtime` names.
    pub(crate) fn runtime(&self) -> Option<&RuntimeId> {
        self.host.runtime.as_ref()
    }

    /// Returns true if `--runtime` names this runtime, or was not given.
    pub(crate) fn names(&self, runtime: &RuntimeId) -> bool {
        self.runtime().is_none_or(|named| named == runtime)
    }

    /// Returns the flags as they were given, for another command.
    pub(crate) fn given(&self) -> Vec<(&'static str, String)> {
        let path = |path: &PathBuf| path.display().to_string();
        let HostArgs { host, token_file, ca_file, runtime } = &self.host;
        let LocationArgs { store, workspace, settings } = &self.location;
        let flags = [
            ("--host", host.clone()),
            ("--token-file", token_file.as_ref().map(path)),
            ("--ca-file", ca_file.as_ref().map(path)),
            ("--runtime", runtime.as_ref().map(ToString::to_string)),
            ("--store", store.as_ref().map(path)),
            ("--workspace", workspace.as_ref().map(ToString::to_string)),
            ("--settings", settings.as_ref().map(path)),
        ];
        flags.into_iter().filter_map(|(flag, given)| Some((flag, given?))).collect()
    }
}

fn endpoint(url: &str, token: Token, ca: Option<PathBuf>) -> Result<Endpoint, Failed> {
    let url = url.parse().map_err(|error| Failed::here(format!("{url}: {error}")))?;
    Ok(Endpoint { url, token, ca, insecure: false, prefix: Prefix::V1 })
}

/// Finds the host that runs on the store of this location.
fn running(location: &LocationArgs) -> Result<RunningHost, Failed> {
    let settings = Settings::gather(location, None)?;
    let none = || {
        Failed::here("no host is running on this store")
            .hint("start one with `skep up`, or name one with --host URL --token-file FILE")
    };
    let dir = match ambient::open_dir(&settings.store) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none()),
        opened => opened?,
    };
    RunningHost::find(&dir)?.ok_or_else(none)
}

impl HostConnection {
    /// Returns the connection to a host of this machine, whatever host the environment names.
    pub(crate) fn to(host: RunningHost) -> Result<Self, Failed> {
        let endpoint = endpoint(&host.url, Token::Text(host.token), None)?;
        Ok(Self { endpoint, runtime: None })
    }

    /// Returns a client of the host's registry.
    pub(crate) fn host(&self) -> Result<HostClient, Failed> {
        HostClient::new(self.endpoint.clone()).map_err(|error| Failed::here(error.to_string()))
    }

    /// Returns a client of the named runtime, or of the host's own.
    pub(crate) async fn runtime(&self) -> Result<Client, Failed> {
        let runtime = match &self.runtime {
            Some(runtime) => runtime.clone(),
            None => {
                let runtimes = self.host()?.runtimes().await?.items;
                let own = runtimes.into_iter().find(|one| one.source == Source::Embedded);
                own.map(|one| one.runtime_id).ok_or_else(|| {
                    Failed::here("this host has no runtime of its own")
                        .hint("name one with --runtime; `skep runtimes` lists them")
                })?
            }
        };
        self.client(runtime)
    }

    fn client(&self, runtime: RuntimeId) -> Result<Client, Failed> {
        let endpoint = Endpoint { prefix: Prefix::Runtime(runtime), ..self.endpoint.clone() };
        Client::new(endpoint).map_err(|error| Failed::here(error.to_string()))
    }

    /// Finds a worker by its id, by `RUNTIME/ID`, or by a name that only one worker has.
    pub(crate) async fn worker(&self, name: &str) -> Result<(Client, WorkerId), Failed> {
        if let Some((runtime, worker)) = name.split_once('/')
            && let (Ok(runtime), Ok(worker)) = (runtime.parse::<RuntimeId>(), worker.parse())
        {
            return Ok((self.client(runtime)?, worker));
        }
        let client = self.runtime().await?;
        if let Ok(worker) = name.parse() {
            return Ok((client, worker));
        }
        let mut named = Vec::new();
        let mut cursor = None;
        loop {
            let query = ListWorkers { limit: 1_000, cursor, ..ListWorkers::default() };
            let page = client.list(query).await?;
            let has_name = |worker: &WorkerView| {
                worker.spec.display_ref.as_ref().is_some_and(|it| it.as_str() == name)
            };
            named.extend(page.items.into_iter().filter(has_name).map(|worker| worker.worker_id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        match named[..] {
            [worker] => Ok((client, worker)),
            [] => Err(Failed::here(format!("no worker has the id or name `{name}`"))
                .hint("`skep worker list` lists the workers")),
            _ => {
                let ids: Vec<_> = named.iter().map(ToString::to_string).collect();
                Err(Failed::here(format!(
                    "several workers have the name `{name}`: {}",
                    ids.join(", ")
                ))
                .hint("use the id instead"))
            }
        }
    }
}

/// Runs a command that talks to a host, and returns the exit code.
pub(crate) fn talk(output: OutputFormat, talk: impl Future<Output = Result<u8, Failed>>) -> u8 {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let talked = match threads {
        Ok(threads) => threads.block_on(talk),
        Err(error) => Err(error.into()),
    };
    talked.unwrap_or_else(|failed| failed.show(output))
}
