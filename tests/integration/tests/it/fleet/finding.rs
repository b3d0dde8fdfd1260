//! How a host finds runtimes, and loses them.

use std::io::Read;
use std::time::{Duration, Instant};

use skep_harness::guest;

use super::{FleetHost, NatsFleet, PATIENCE, find, has_diagnostic};
use crate::hosting::skep;
use crate::served::prepared;

#[test]
fn a_host_finds_runtimes_loses_them_and_finds_them_again() {
    let fleet = NatsFleet::start(&["alpha", "beta"]);
    let host = FleetHost::start(&fleet);
    assert_eq!(
        host.good(&["runtimes"])["items"].as_array().unwrap().len(),
        2,
        "its own, and local"
    );
    let (alpha_dir, beta_dir) = (prepared(), prepared());
    let mut alpha = fleet.runtime("alpha", &alpha_dir);
    let _beta = fleet.runtime("beta", &beta_dir);
    for id in ["alpha", "beta"] {
        host.until_status(id, "available");
    }
    let list = host.good(&["runtimes"]);
    let found = find(&list, "alpha").unwrap();
    assert_eq!(found["source"], "fleet");
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));

    let scribe = guest("scribe");
    let scribe = scribe.to_str().unwrap();
    let made = host.good(&["worker", "create", scribe, "--runtime", "alpha"]);
    assert_eq!(made["runtime_id"], "alpha");
    let worker = format!("alpha/{}", made["worker_id"].as_str().unwrap());
    assert_eq!(host.echo(&worker, "over").unwrap(), "over");

    alpha.kill();
    host.until_status("alpha", "unavailable");
    let since = find(&host.good(&["runtimes"]), "alpha").unwrap()["unavailable_since"].clone();
    assert!(since.is_string() || since.is_number(), "{since}");
    assert_eq!(find(&host.good(&["runtimes"]), "beta").unwrap()["status"], "available");
    let _alpha = fleet.runtime("alpha", &alpha_dir);
    host.until_status("alpha", "available");
    assert_eq!(host.echo(&worker, "again").unwrap(), "again");

    // The server goes away and comes back.
    fleet.0.kill(1);
    fleet.0.start_again(1);
    let until = Instant::now() + PATIENCE;
    loop {
        match host.echo(&worker, "after") {
            Ok(_) => break,
            Err(said) => assert!(Instant::now() < until, "{said}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn nothing_of_the_fleet_is_in_an_answer() {
    let fleet = NatsFleet::start(&["alpha"]);
    let host = FleetHost::start(&fleet);
    let alpha_dir = prepared();
    let _alpha = fleet.runtime("alpha", &alpha_dir);
    host.until_status("alpha", "available");
    let (access, file) = fleet.access("api.toml");
    let server = access.servers[0].trim_start_matches("tls://").to_owned();
    let port = server.rsplit(':').next().unwrap().to_owned();
    let token = file["runtimes"]["alpha"]["token"].as_str().unwrap().to_owned();
    let mut answers = host.good(&["runtimes"]).to_string();
    answers += &host.good(&["audit"]).to_string();
    drop(fleet);
    host.until_status("alpha", "unavailable");
    answers += &host.good(&["runtimes"]).to_string();
    let failed = skep(&host.dir, &["worker", "list", "--runtime", "alpha", "--output", "json"]);
    answers += &(failed.out + &failed.err);
    for secret in [&access.seed, &token, &server, &format!(":{port}"), "nats", "NATS", "_INBOX"] {
        assert!(!answers.contains(secret), "{secret}: {answers}");
    }
}

#[test]
fn a_runtime_without_a_token_here_and_one_of_two_processes_are_diagnostics() {
    let fleet = NatsFleet::start(&["alpha", "beta"]);
    // This host was not told of beta.
    let path = fleet.file("api.toml");
    let mut file: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    file["runtimes"].as_table_mut().unwrap().remove("beta");
    std::fs::write(&path, file.to_string()).unwrap();
    let host = FleetHost::start(&fleet);
    let beta_dir = prepared();
    let _beta = fleet.runtime("beta", &beta_dir);
    let list = host.until("unknown", |list| has_diagnostic(list, "beta", "has no token for it"));
    assert_eq!(find(&list, "beta"), None);

    let alpha_dir = prepared();
    let _alpha = fleet.runtime("alpha", &alpha_dir);
    host.until_status("alpha", "available");
    let other_dir = prepared();
    let other = fleet.runtime("alpha", &other_dir);
    host.until("duplicate", |list| {
        has_diagnostic(list, "alpha", "two processes") && find(list, "alpha").is_none()
    });
    drop(other);
    host.until_status("alpha", "available");
}

#[test]
fn a_runtime_of_a_fleet_listens_on_no_port() {
    let fleet = NatsFleet::start(&["alpha"]);
    let alpha_dir = prepared();
    let alpha = fleet.runtime("alpha", &alpha_dir);
    let (mut tcp, mut inodes) = (String::new(), Vec::new());
    for name in ["tcp", "tcp6"] {
        let path = format!("/proc/{}/net/{name}", alpha.pid());
        std::fs::File::open(path).unwrap().read_to_string(&mut tcp).unwrap();
    }
    for entry in std::fs::read_dir(format!("/proc/{}/fd", alpha.pid())).unwrap() {
        // A descriptor may be gone by now.
        let Ok(target) = std::fs::read_link(entry.unwrap().path()) else { continue };
        let target = target.to_string_lossy().into_owned();
        inodes.extend(
            target.strip_prefix("socket:[").map(|rest| rest.trim_end_matches(']').to_owned()),
        );
    }
    // Column 3 is the state, of which 0A is listening; column 9 the inode.
    let listening = tcp.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening: Vec<_> = listening
        .filter(|line| line.get(3) == Some(&"0A"))
        .filter(|line| line.get(9).is_some_and(|inode| inodes.iter().any(|own| own == inode)))
        .collect();
    assert_eq!(listening, Vec::<Vec<&str>>::new());
}
