//! `skep worker grant` and `skep worker revoke`.

use clap::Args;
use skep_protocol::flags::quoted;
use skep_protocol::{
    Conflict, Denial, Error, Grants, GuestPath, HttpGrant, RuntimeHandle, ScopeGrant, ScopeName,
    SecretName, WorkerChange, WorkerId, Workers,
};

use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::table::Table;
use crate::terminal::LostOutput;
use crate::{json, terminal};

/// Maximum number of attempts of a change that conflicts with concurrent ones.
const ATTEMPTS: usize = 5;

/// The flags that name grants.
#[derive(Args, Clone, Debug)]
pub(super) struct GrantFlags {
    /// Directory that the operator offers as NAME: NAME::GUEST, then :ro (the default) or :rw.
    /// Repeat for more
    #[arg(long, value_name = "NAME::GUEST[:ro|rw]")]
    scope: Vec<ScopeGrant>,

    /// HTTP requests: `[METHOD,… ]SCHEME://HOST[:PORT][ inner]`. HOST may be *.NAME or *; `inner`
    /// allows a name to resolve to an address that is not public. Repeat for more
    #[arg(long, value_name = "GRANT")]
    http: Vec<HttpGrant>,

    /// Secret that the operator offers as NAME. The worker gets a placeholder, which is replaced by
    /// the secret in requests to the secret's hosts. Repeat for more
    #[arg(long, value_name = "NAME")]
    secret: Vec<SecretName>,
}

impl GrantFlags {
    pub(super) fn grants(&self) -> Grants {
        let Self { scope: scopes, http, secret: secrets } = self.clone();
        Grants { scopes, http, secrets }
    }
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker grant tally --http https://api.example.com
  skep worker grant tally --http 'GET,HEAD https://*.example.org' --secret weather
  skep worker grant tally --scope cache::/cache:rw
  skep worker show tally      show its grants and recent denials")]
pub(super) struct GrantArgs {
    /// Worker: its id, RUNTIME/ID, or name
    worker: String,

    #[command(flatten)]
    more: GrantFlags,

    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker revoke tally --http https://api.example.com
  skep worker revoke tally --scope cache --secret weather
  skep worker revoke tally --all")]
pub(super) struct RevokeArgs {
    /// Worker: its id, RUNTIME/ID, or name
    worker: String,

    /// Directory, by name or by name and guest path. Repeat for more
    #[arg(long, value_name = "NAME[::GUEST]", value_parser = scope_pattern)]
    scope: Vec<ScopePattern>,

    /// HTTP requests, in the form in which they were granted. Repeat for more
    #[arg(long, value_name = "GRANT")]
    http: Vec<HttpGrant>,

    /// Secret. Repeat for more
    #[arg(long, value_name = "NAME")]
    secret: Vec<SecretName>,

    /// Revoke all grants
    #[arg(long, conflicts_with_all = ["scope", "http", "secret"])]
    all: bool,

    #[command(flatten)]
    connect: ConnectArgs,
}

/// A pattern for the directory grants to revoke.
#[derive(Clone, Debug)]
struct ScopePattern {
    name: ScopeName,
    /// The guest path; `None` matches any.
    guest: Option<GuestPath>,
}

impl ScopePattern {
    fn matches(&self, grant: &ScopeGrant) -> bool {
        self.name == grant.name && self.guest.as_ref().is_none_or(|guest| *guest == grant.guest)
    }
}

impl GrantArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

impl RevokeArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }

    /// Returns the grants without the revoked ones. Each revoked grant must exist.
    fn without(&self, mut grants: Grants) -> Result<Grants, Failed> {
        if self.all {
            return Ok(Grants::default());
        }
        let mut missing = Vec::new();
        let mut take = |flag: String, before: usize, after: usize| {
            if before == after {
                missing.push(flag);
            }
        };
        for pattern in &self.scope {
            let before = grants.scopes.len();
            grants.scopes.retain(|has| !pattern.matches(has));
            take(format!("--scope {}", pattern.name), before, grants.scopes.len());
        }
        for grant in &self.http {
            let before = grants.http.len();
            grants.http.retain(|has| !(has.is_within(grant) && grant.is_within(has)));
            take(format!("--http '{grant}'"), before, grants.http.len());
        }
        for name in &self.secret {
            let before = grants.secrets.len();
            grants.secrets.retain(|has| has != name);
            take(format!("--secret {name}"), before, grants.secrets.len());
        }
        match missing.first() {
            None => Ok(grants),
            Some(missing) => {
                Err(Failed::here(format!("the worker has no grant {missing}; nothing was changed"))
                    .hint("`skep worker show WORKER` lists its grants"))
            }
        }
    }
}

pub(super) async fn grant(arguments: &GrantArgs) -> Result<u8, Failed> {
    let more = arguments.more.grants();
    if more.is_empty() {
        return Err(Failed::here("nothing to grant").hint("give --scope, --http or --secret"));
    }
    change(&arguments.worker, &arguments.connect, |mut grants| {
        grants.add(more.clone());
        Ok(grants)
    })
    .await
}

pub(super) async fn revoke(arguments: &RevokeArgs) -> Result<u8, Failed> {
    let RevokeArgs { scope, http, secret, all, .. } = arguments;
    if scope.is_empty() && http.is_empty() && secret.is_empty() && !all {
        return Err(
            Failed::here("nothing to revoke").hint("give --scope, --http or --secret, or --all")
        );
    }
    change(&arguments.worker, &arguments.connect, |grants| arguments.without(grants)).await
}

/// Changes a worker's grants and shows the result.
async fn change(
    worker: &str,
    connect: &ConnectArgs,
    change: impl Fn(Grants) -> Result<Grants, Failed>,
) -> Result<u8, Failed> {
    let (runtime, worker) = connect.connect()?.worker(worker).await?;
    let mut attempt = 1;
    let view = loop {
        let before = runtime.get(worker).await?.spec.grants;
        let after = change(before.clone())?;
        match regrant(&runtime, worker, before, after).await {
            Err(Error::Conflict(Conflict::Grants)) if attempt < ATTEMPTS => attempt += 1,
            changed => break changed?,
        }
    };
    show(&view.spec.grants, connect.output)?;
    Ok(0)
}

async fn regrant(
    runtime: &impl RuntimeHandle,
    worker: WorkerId,
    before: Grants,
    after: Grants,
) -> Result<skep_protocol::WorkerView, Error> {
    let change = WorkerChange {
        grants: Some(after),
        // The runtime refuses the change if another one was made in between.
        grants_before: Some(before),
        ..WorkerChange::default()
    };
    runtime.update(worker, change).await
}

fn show(grants: &Grants, output: OutputFormat) -> Result<(), LostOutput> {
    if output == OutputFormat::Json {
        return terminal::print(&json::line(grants));
    }
    if grants.is_empty() {
        return terminal::print(b"no grants\n");
    }
    let mut table = Table::new(&["GRANT", ""]);
    for (kind, what) in grants.words() {
        table.row([&kind, &what]);
    }
    terminal::print(table.text().as_bytes())
}

/// Returns the command that allows what was denied, if a grant does. It has the connection flags of
/// this command, so that it reaches the same worker.
pub(super) fn command(worker: &str, connect: &ConnectArgs, denial: &Denial) -> Option<String> {
    let grants = denial.grant.as_ref().filter(|grants| !grants.is_empty())?;
    let mut words = vec![format!("skep worker grant {} {}", quoted(worker), grants.flags())];
    words.extend(
        connect.given().into_iter().map(|(flag, what)| format!("{flag} {}", quoted(&what))),
    );
    Some(words.join(" "))
}

fn scope_pattern(text: &str) -> Result<ScopePattern, String> {
    if text.contains("::") {
        let parsed = text.parse::<ScopeGrant>().map_err(|error| error.to_string())?;
        let ScopeGrant { name, guest, .. } = parsed;
        return Ok(ScopePattern { name, guest: Some(guest) });
    }
    Ok(ScopePattern { name: text.parse().map_err(|error| format!("{error}"))?, guest: None })
}
