//! Checks of a fleet: its servers, what they store, and the rights of the member whose file is given.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use skep_fleet::{FleetAccess, FleetConnection, HostLog, RightsToTry, ServerState, ServerStorage};
use skep_registry::SharedLog;

use super::check::Check;
use crate::failure::Failed;
use crate::fleet_file::{ApiFile, OperatorFile, RuntimeFile, pool};

/// The oldest version that keeps what it has acknowledged: older ones gave one lease to two owners, or
/// cannot write to disk before they acknowledge.
const OLDEST: [u64; 2] = [2, 15];

/// Time that all servers have to say how they are.
const ANSWERS: Duration = Duration::from_secs(2);

/// Difference of clocks from which tokens and sessions end at noticeably different times.
const SKEW_MS: u64 = 2_000;

/// Part of a server's storage from which it is nearly full, in percent.
const NEARLY_FULL: u64 = 90;

/// The file of a member, whatever it is.
enum MemberFile {
    Operator(OperatorFile),
    Api(ApiFile),
    Runtime(RuntimeFile),
}

impl MemberFile {
    fn read(path: &Path) -> Result<Self, Failed> {
        if let Ok(file) = OperatorFile::read(path) {
            return Ok(Self::Operator(file));
        }
        if let Ok(file) = ApiFile::read(path) {
            return Ok(Self::Api(file));
        }
        RuntimeFile::read(path).map(Self::Runtime)
    }

    fn access(&self, path: &Path) -> FleetAccess {
        let servers = match self {
            Self::Operator(file) => &file.servers,
            Self::Api(file) => &file.servers,
            Self::Runtime(file) => &file.servers,
        };
        servers.access(path, "skep-doctor")
    }
}

/// Makes the checks that the member's key allows.
pub(super) fn checks(path: &Path) -> Result<Vec<Check>, Failed> {
    let file = MemberFile::read(path)?;
    let access = file.access(path);
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    threads.block_on(async {
        let (mut checks, is_reached) = reached(&access).await;
        if !is_reached {
            return Ok(checks);
        }
        match file {
            MemberFile::Operator(file) => checks.extend(servers(&access, file.replicas).await),
            MemberFile::Api(file) => {
                checks.push(rights(&access, &skep_fleet::rights_of_host()).await);
                checks.push(stores(&file.log_access(path, "skep-doctor"), file.replicas).await);
            }
            MemberFile::Runtime(file) => {
                let wanted = skep_fleet::rights_of_runtime(&pool(&file.pool)?, &file.runtime_id);
                checks.push(rights(&access, &wanted).await);
            }
        }
        Ok(checks)
    })
}

/// Checks that each server can be reached and is new enough. The second value is true if any can.
async fn reached(access: &FleetAccess) -> (Vec<Check>, bool) {
    let found = skep_fleet::reach_servers(access).await;
    let is_reached = found.iter().any(|(_, version)| version.is_ok());
    let checks = found.into_iter().map(|(server, version)| match version {
        Err(error) => Check::failed(
            "fleet server",
            format!("{server}: {error}"),
            "start it, in the folder of its files: nats-server -c server-N.conf",
        ),
        Ok(version) if is_old(&version) => Check::failed(
            "fleet server",
            format!("{server} is nats-server {version}"),
            "install 2.15 or later: older ones lose what they acknowledged, or give one lease twice",
        ),
        Ok(version) => Check::ok("fleet server", format!("{server}, nats-server {version}")),
    });
    (checks.collect(), is_reached)
}

fn is_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => [major, minor] < OLDEST,
        _ => true,
    }
}

/// Checks what the servers say of themselves to the operator.
async fn servers(access: &FleetAccess, replicas: usize) -> Vec<Check> {
    let states = match skep_fleet::inspect(access, ANSWERS).await {
        Ok(states) if states.is_empty() => {
            return vec![Check::failed(
                "fleet state",
                "no server says how it is",
                "use the operator.toml that `skep fleet init` wrote together with the servers' files",
            )];
        }
        Ok(states) => states,
        Err(error) => {
            return vec![Check::failed("fleet state", error.to_string(), "try again")];
        }
    };
    let mut checks: Vec<_> = states.iter().flat_map(server).collect();
    checks.push(group(&states, access.servers.len()));
    checks.extend(streams(&states, replicas));
    checks
}

/// Checks one server.
fn server(state: &ServerState) -> Vec<Check> {
    let name = &state.name;
    let mut checks = Vec::new();
    if let Some(why) = &state.unwell {
        let hint = "see the server's log; a full disk needs room and a restart of the server";
        checks.push(Check::failed("fleet health", format!("{name}: {why}"), hint));
    }
    let ahead = state.clock_ahead_ms;
    if ahead.unsigned_abs() > SKEW_MS {
        let found = format!("the clock of {name} is {ahead} ms ahead of this machine's");
        let hint = "set the clocks by NTP: tokens and sessions end by them";
        checks.push(Check::degraded("fleet clock", found, hint));
    }
    let Some(storage) = &state.storage else {
        let found = format!("{name} stores nothing");
        let hint =
            "its file has no `jetstream` section; write the files anew with `skep fleet init`";
        checks.push(Check::failed("fleet storage", found, hint));
        return checks;
    };
    let ServerStorage { syncs_always, used, most, .. } = *storage;
    if !syncs_always {
        let found = format!("{name} acknowledges before it has written to disk");
        let hint = "set `sync_interval: always` in the `jetstream` section of its file: a power cut \
                    loses what was acknowledged otherwise";
        checks.push(Check::failed("fleet sync", found, hint));
    }
    let percent = used.saturating_mul(100).checked_div(most).unwrap_or(100);
    let found = format!("{name} uses {percent} % of the {most} bytes that it may store");
    let hint = "make room on its disk, or raise `max_file_store`, and restart it";
    checks.push(match percent {
        100.. => Check::failed("fleet storage", found, hint),
        NEARLY_FULL.. => Check::degraded("fleet storage", found, hint),
        _ => Check::ok("fleet storage", found),
    });
    checks
}

/// Checks that the servers decide together, and that an odd number does.
fn group(states: &[ServerState], wanted: usize) -> Check {
    let name = "fleet group";
    let all: Vec<_> = states.iter().filter_map(|state| state.storage.as_ref()).collect();
    let groups: Vec<_> = all.iter().filter_map(|storage| storage.group.as_ref()).collect();
    let Some(first) = groups.first() else {
        let found = "one server, which nothing replaces while it is down";
        return match wanted {
            1 => Check::degraded(name, found, "three servers go on while one is down"),
            _ => Check::failed(
                name,
                format!("{wanted} servers that do not know each other"),
                "check the `cluster` sections of their files, and that their ports are reachable",
            ),
        };
    };
    if groups.iter().any(|group| group.leader.is_none() || group.leader != first.leader) {
        let found = "the servers do not agree on a leader";
        return Check::failed(name, found, "wait 10 s; then see the servers' logs");
    }
    let size = first.size;
    let found = format!(
        "{size} servers decide together, led by {}",
        first.leader.as_deref().unwrap_or("none")
    );
    if size != wanted {
        let found = format!("{found}; the file names {wanted}");
        return Check::failed(name, found, "restart the servers that are missing from the group");
    }
    if size % 2 == 0 {
        let hint = "an even number goes on after no more losses than one fewer; use 3 or 5";
        return Check::degraded(name, found, hint);
    }
    if states.len() < size {
        let found = format!("{found}; {} of them answer", states.len());
        return Check::failed(name, found, "start the others: the next loss stops all changes");
    }
    Check::ok(name, found)
}

/// Checks that what the fleet stores has all of its copies.
fn streams(states: &[ServerState], replicas: usize) -> Vec<Check> {
    let name = "fleet copies";
    let mut all: BTreeMap<&str, (usize, Option<usize>)> = BTreeMap::new();
    for stream in
        states.iter().filter_map(|state| state.storage.as_ref()).flat_map(|it| &it.streams)
    {
        let (wanted, current) = all.entry(&stream.name).or_insert((stream.replicas, None));
        *wanted = stream.replicas;
        *current = (*current).max(stream.current);
    }
    if all.is_empty() {
        let hint = "start a host with `skep up --fleet`: the first one makes what the fleet needs";
        return vec![Check::degraded(name, "nothing is stored yet", hint)];
    }
    let checks = all.into_iter().map(|(stream, (wanted, current))| {
        let Some(current) = current else {
            let found = format!("{stream} has no leader, so nothing is stored there");
            return Check::failed(name, found, "start the servers that are missing");
        };
        let found = format!("{current} of {wanted} copies of {stream}");
        if wanted < replicas {
            let found = format!("{found}, which was made for fewer than {replicas} servers");
            return Check::failed(name, found, "stop the hosts, and make it anew on three servers");
        }
        match current < wanted {
            true => {
                Check::failed(name, found, "start the missing servers, and wait until they follow")
            }
            false => Check::ok(name, found),
        }
    });
    checks.collect()
}

/// Checks that a member may do what it needs and no more.
async fn rights(access: &FleetAccess, wanted: &RightsToTry) -> Check {
    let name = "fleet rights";
    let hint = "use the servers' files that `skep fleet init` wrote together with this one, on every \
                server, and restart the servers";
    match skep_fleet::try_rights(access, wanted).await {
        Err(error) => Check::failed(name, error.to_string(), "try again"),
        Ok((missing, excess)) if missing.is_empty() && excess.is_empty() => {
            Check::ok(name, "its own, and none of others")
        }
        Ok((missing, excess)) => {
            let list = |what: &str, subjects: Vec<String>| match subjects.is_empty() {
                true => String::new(),
                false => format!("{what} {}; ", subjects.join(", ")),
            };
            let found = list("may not use", missing) + &list("may use what is of others:", excess);
            Check::failed(name, found.trim_end_matches("; "), hint)
        }
    }
}

/// Checks that the servers store what a host says.
async fn stores(access: &FleetAccess, replicas: usize) -> Check {
    let name = "fleet writes";
    let hint = "run `skep doctor --fleet` with operator.toml: it says which server is at fault";
    let connection = match FleetConnection::open(access).await {
        Ok(connection) => connection,
        Err(error) => return Check::failed(name, error.to_string(), hint),
    };
    match HostLog::new(&connection, replicas).mark().await {
        Ok(_) => Check::ok(name, "acknowledged"),
        Err(error) => Check::failed(name, format!("not acknowledged: {error}"), hint),
    }
}

#[cfg(test)]
mod tests {
    use skep_fleet::{ServerGroup, StoredStream};

    use super::super::check::CheckStatus;
    use super::*;

    fn state(name: &str) -> ServerState {
        ServerState {
            name: name.to_owned(),
            version: "2.15.1".to_owned(),
            clock_ahead_ms: 3,
            unwell: None,
            storage: Some(ServerStorage {
                syncs_always: true,
                used: 1,
                most: 1_000,
                group: Some(ServerGroup { leader: Some("one".to_owned()), size: 3 }),
                streams: Vec::new(),
            }),
        }
    }

    fn storage(state: &mut ServerState) -> &mut ServerStorage {
        state.storage.as_mut().unwrap()
    }

    /// Checks that a server's checks have this one.
    fn assert_found(state: &ServerState, name: &str, status: CheckStatus) {
        let checks = server(state);
        assert!(checks.iter().any(|it| (it.name, it.status) == (name, status)), "{checks:?}");
    }

    #[test]
    fn versions_below_2_15_are_old() {
        for old in ["2.9.10", "2.10.27", "1.99.0", "2", "two"] {
            assert!(is_old(old), "{old}");
        }
        for good in ["2.15.0", "2.15.1-beta", "2.20.0", "3.0.0"] {
            assert!(!is_old(good), "{good}");
        }
    }

    #[test]
    fn each_fault_of_a_server_is_named() {
        assert!(server(&state("one")).iter().all(|check| check.status == CheckStatus::Ok));
        let mut lax = state("one");
        storage(&mut lax).syncs_always = false;
        assert_found(&lax, "fleet sync", CheckStatus::Failed);
        let mut full = state("one");
        storage(&mut full).used = 950;
        assert_found(&full, "fleet storage", CheckStatus::Degraded);
        storage(&mut full).used = 1_000;
        assert_found(&full, "fleet storage", CheckStatus::Failed);
        let early = ServerState { clock_ahead_ms: -60_000, ..state("one") };
        assert_found(&early, "fleet clock", CheckStatus::Degraded);
        let unwell = ServerState { unwell: Some("no room".to_owned()), ..state("one") };
        assert_found(&unwell, "fleet health", CheckStatus::Failed);
        assert_found(
            &ServerState { storage: None, ..state("one") },
            "fleet storage",
            CheckStatus::Failed,
        );
    }

    #[test]
    fn a_group_is_whole_odd_and_led() {
        let three = ["one", "two", "three"].map(state);
        assert_eq!(group(&three, 3).status, CheckStatus::Ok);
        assert_eq!(group(&three[..2], 3).status, CheckStatus::Failed);
        let mut two = ["one", "two", "three"].map(state);
        for state in &mut two {
            storage(state).group = Some(ServerGroup { leader: Some("one".to_owned()), size: 2 });
        }
        assert_eq!(group(&two, 3).status, CheckStatus::Failed);
        assert_eq!(group(&two[..2], 2).status, CheckStatus::Degraded);
        let mut torn = ["one", "two", "three"].map(state);
        storage(&mut torn[1]).group = Some(ServerGroup { leader: None, size: 3 });
        assert_eq!(group(&torn, 3).status, CheckStatus::Failed);
        let mut alone = state("one");
        storage(&mut alone).group = None;
        assert_eq!(group(&[alone.clone()], 1).status, CheckStatus::Degraded);
        assert_eq!(group(&[alone], 3).status, CheckStatus::Failed);
    }

    #[test]
    fn a_missing_copy_is_named() {
        let with = |replicas, current: Option<usize>| {
            let mut state = state("one");
            let name = "HOSTS".to_owned();
            storage(&mut state).streams.push(StoredStream { name, replicas, current });
            streams(&[state], 3).remove(0).status
        };
        assert_eq!(with(3, Some(3)), CheckStatus::Ok);
        assert_eq!(with(3, Some(2)), CheckStatus::Failed);
        assert_eq!(with(3, None), CheckStatus::Failed);
        assert_eq!(with(1, Some(1)), CheckStatus::Failed);
        assert_eq!(streams(&[state("one")], 3)[0].status, CheckStatus::Degraded);
    }
}
