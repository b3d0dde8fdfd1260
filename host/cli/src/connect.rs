//! Finding the host that a command is for.

use std::path::PathBuf;

use clap::Args;
use skep_client::{Client, Endpoint, HostClient, Prefix, Token};
use skep_protocol::{ListWorkers, RuntimeId, Source, WorkerId, WorkerView, Workers};

use crate::failure::Failed;
use crate::running::RunningHost;
use crate::settings::{PlaceArgs, Settings};
use crate::{OutputFormat, ambient};

/// Which host and runtime a command is for. Without any of it: the host that runs on this user's
/// store, and the runtime in it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectArgs {
    /// The host's URL [env: SKEP_HOST] [default: the one that runs on the store]
    #[arg(long, value_name = "URL")]
    host: Option<String>,

    /// A file with the token for it [env: SKEP_TOKEN holds a token itself]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The certificate of the authority that signed the host's certificate, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// The runtime [default: the one that is part of the host]
    #[arg(long, value_name = "RUNTIME_ID")]
    runtime: Option<RuntimeId>,

    #[command(flatten)]
    place: PlaceArgs,

    /// How the result is shown
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: OutputFormat,
}

/// A host that was found.
pub(crate) struct Connection {
    endpoint: Endpoint,
    runtime: Option<RuntimeId>,
}

impl ConnectArgs {
    /// Finds it. Nothing is sent yet.
    pub(crate) fn connect(&self) -> Result<Connection, Failed> {
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
                let host = self.running()?;
                (host.url, given.unwrap_or(Token::Text(host.token)))
            }
        };
        let url = url.parse().map_err(|error| Failed::here(format!("{url}: {error}")))?;
        let (ca, insecure) = (self.ca_file.clone(), false);
        let endpoint = Endpoint { url, token, ca, insecure, prefix: Prefix::V1 };
        Ok(Connection { endpoint, runtime: self.runtime.clone() })
    }

    /// Whether a runtime is the one that was named, or none was.
    pub(crate) fn names(&self, runtime: &RuntimeId) -> bool {
        self.runtime.as_ref().is_none_or(|named| named == runtime)
    }

    /// The flags that it was made of, to be typed again.
    pub(crate) fn typed(&self) -> Vec<(&'static str, String)> {
        let path = |path: &PathBuf| path.display().to_string();
        let PlaceArgs { store, workspace, settings } = &self.place;
        let flags = [
            ("--host", self.host.clone()),
            ("--token-file", self.token_file.as_ref().map(path)),
            ("--ca-file", self.ca_file.as_ref().map(path)),
            ("--runtime", self.runtime.as_ref().map(ToString::to_string)),
            ("--store", store.as_ref().map(path)),
            ("--workspace", workspace.as_ref().map(ToString::to_string)),
            ("--settings", settings.as_ref().map(path)),
        ];
        flags.into_iter().filter_map(|(flag, given)| Some((flag, given?))).collect()
    }

    fn running(&self) -> Result<RunningHost, Failed> {
        let settings = Settings::gather(&self.place, None)?;
        let none = || {
            Failed::here("no host runs here")
                .hint("start one with `skep up`, or name one with --host URL --token-file FILE")
        };
        let dir = match ambient::open_dir(&settings.store) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none()),
            opened => opened?,
        };
        RunningHost::find(&dir)?.ok_or_else(none)
    }
}

impl Connection {
    /// The registry's side of it.
    pub(crate) fn host(&self) -> Result<HostClient, Failed> {
        HostClient::new(self.endpoint.clone()).map_err(|error| Failed::here(error.to_string()))
    }

    /// A runtime: the named one, or the one that is part of the host.
    pub(crate) async fn runtime(&self) -> Result<Client, Failed> {
        let runtime = match &self.runtime {
            Some(runtime) => runtime.clone(),
            None => {
                let runtimes = self.host()?.runtimes().await?.items;
                let own = runtimes.into_iter().find(|one| one.source == Source::Embedded);
                own.map(|one| one.runtime_id).ok_or_else(|| {
                    Failed::here("this host has no runtime of its own")
                        .hint("say which one with --runtime; `skep runtimes` lists them")
                })?
            }
        };
        self.client(runtime)
    }

    fn client(&self, runtime: RuntimeId) -> Result<Client, Failed> {
        let endpoint = Endpoint { prefix: Prefix::Runtime(runtime), ..self.endpoint.clone() };
        Client::new(endpoint).map_err(|error| Failed::here(error.to_string()))
    }

    /// A worker by what a person types: its id, `runtime/worker`, or what people call it, if only
    /// one is called so.
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
        let mut called = Vec::new();
        let mut cursor = None;
        loop {
            let query = ListWorkers { limit: 1_000, cursor, label: None };
            let page = client.list(query).await?;
            let is_called = |worker: &WorkerView| {
                worker.spec.display_ref.as_ref().is_some_and(|called| called.as_str() == name)
            };
            called.extend(page.items.into_iter().filter(is_called).map(|worker| worker.worker_id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        match called[..] {
            [worker] => Ok((client, worker)),
            [] => Err(Failed::here(format!("no worker has the id or the name `{name}`"))
                .hint("`skep worker list` shows those that there are")),
            _ => {
                let ids: Vec<_> = called.iter().map(ToString::to_string).collect();
                Err(Failed::here(format!("several are called `{name}`: {}", ids.join(", ")))
                    .hint("say which by its id"))
            }
        }
    }
}

/// Runs what talks to a host.
pub(crate) fn talk(output: OutputFormat, talk: impl Future<Output = Result<u8, Failed>>) -> u8 {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let talked = match threads {
        Ok(threads) => threads.block_on(talk),
        Err(error) => Err(error.into()),
    };
    talked.unwrap_or_else(|failed| failed.show(output))
}
