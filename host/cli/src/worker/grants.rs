//! `skep worker grant` and `revoke`: what a worker may do besides, and the words for it.

use clap::Args;
use skep_protocol::flags::quoted;
use skep_protocol::{
    Conflict, Denial, Error, Grants, GuestPath, HttpGrant, Rights, RuntimeHandle, ScopeGrant,
    ScopeName, SecretName, WorkerChange, WorkerId, Workers,
};

use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::table::Table;
use crate::terminal::Lost;
use crate::{OutputFormat, json, terminal};

/// How often a change is made anew because somebody else was quicker.
const ATTEMPTS: usize = 5;

/// What to grant.
#[derive(Args, Clone, Debug)]
pub(super) struct GrantFlags {
    /// A directory that the operator offers under a name: NAME::GUEST, then :ro (the default) or :rw.
    /// Repeat for more
    #[arg(long, value_name = "NAME::GUEST[:ro|rw]", value_parser = scope)]
    scope: Vec<ScopeGrant>,

    /// HTTP requests: `[METHOD,… ]SCHEME://HOST[:PORT][ inner]`. HOST may be *.NAME or *; `inner`
    /// lets a name lead to an address that is not public. Repeat for more
    #[arg(long, value_name = "GRANT")]
    http: Vec<HttpGrant>,

    /// A secret that the operator offers under a name: the worker gets a stand-in, which becomes the
    /// secret in requests to the secret's hosts. Repeat for more
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
  skep worker show tally      what it has, and what it was denied")]
pub(super) struct GrantArgs {
    /// Which
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
    /// Which
    worker: String,

    /// A directory: by name, or by name and place. Repeat for more
    #[arg(long, value_name = "NAME[::GUEST]", value_parser = place)]
    scope: Vec<Place>,

    /// HTTP requests, as they were granted. Repeat for more
    #[arg(long, value_name = "GRANT")]
    http: Vec<HttpGrant>,

    /// A secret. Repeat for more
    #[arg(long, value_name = "NAME")]
    secret: Vec<SecretName>,

    /// Everything
    #[arg(long, conflicts_with_all = ["scope", "http", "secret"])]
    all: bool,

    #[command(flatten)]
    connect: ConnectArgs,
}

/// A directory to be taken away.
#[derive(Clone, Debug)]
struct Place {
    name: ScopeName,
    guest: Option<GuestPath>,
}

impl Place {
    fn is(&self, grant: &ScopeGrant) -> bool {
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

    /// What is left.
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
        for place in &self.scope {
            let before = grants.scopes.len();
            grants.scopes.retain(|has| !place.is(has));
            take(format!("--scope {}", place.name), before, grants.scopes.len());
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
                Err(Failed::here(format!("the worker has no grant {missing}; nothing is changed"))
                    .hint("`skep worker show WORKER` shows those that it has"))
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

/// Changes a worker's grants and shows those that it has then.
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
        // So that what somebody else granted or revoked meanwhile stays so.
        grants_before: Some(before),
        ..WorkerChange::default()
    };
    runtime.update(worker, change).await
}

fn show(grants: &Grants, output: OutputFormat) -> Result<(), Lost> {
    if output == OutputFormat::Json {
        return terminal::print(&json::line(grants));
    }
    if grants.is_empty() {
        return terminal::print(b"it has no grants\n");
    }
    let mut table = Table::new(&["GRANT", ""]);
    for (kind, what) in grants.words() {
        table.row([&kind, &what]);
    }
    terminal::print(table.text().as_bytes())
}

/// The command that would allow what was denied, where one would: to be typed where this one was.
pub(super) fn command(worker: &str, connect: &ConnectArgs, denial: &Denial) -> Option<String> {
    let grants = denial.grant.as_ref().filter(|grants| !grants.is_empty())?;
    let mut words = vec![format!("skep worker grant {} {}", quoted(worker), grants.flags())];
    words.extend(
        connect.typed().into_iter().map(|(flag, what)| format!("{flag} {}", quoted(&what))),
    );
    Some(words.join(" "))
}

fn scope(text: &str) -> Result<ScopeGrant, String> {
    let (rest, rights) = match text.rsplit_once(':') {
        Some((rest, word @ ("ro" | "rw"))) if !rest.ends_with(':') => {
            (rest, word.parse::<Rights>().map_err(|error| error.to_string())?)
        }
        _ => (text, Rights::ReadOnly),
    };
    let (name, guest) = rest.split_once("::").ok_or("expected NAME::GUEST")?;
    Ok(ScopeGrant {
        name: name.parse().map_err(|error| format!("{error}"))?,
        guest: guest.parse().map_err(|error| format!("{error}"))?,
        rights,
    })
}

fn place(text: &str) -> Result<Place, String> {
    if text.contains("::") {
        let ScopeGrant { name, guest, .. } = scope(text)?;
        return Ok(Place { name, guest: Some(guest) });
    }
    Ok(Place { name: text.parse().map_err(|error| format!("{error}"))?, guest: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_read_as_it_is_shown() {
        for shown in ["src::/src:ro", "cache::/my cache:rw"] {
            assert_eq!(scope(shown).unwrap().to_string(), shown);
        }
        assert_eq!(scope("src::/src").unwrap().rights, Rights::ReadOnly);
    }
}
