//! The configuration of a NATS server of a fleet.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::str::FromStr;

use skep_fleet::SubjectPart;
use skep_protocol::RuntimeId;

/// The distance between a server's port for members and its port for other servers.
const CLUSTER: u16 = 2_000;

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    host: String,
    port: u16,
}

impl ServerAddress {
    /// Returns the addresses of servers on this machine, if there are as many ports.
    pub(super) fn on_this_machine(first: u16, count: u8) -> Option<Vec<Self>> {
        let address = |at: u8| {
            let port = first.checked_add(u16::from(at))?;
            port.checked_add(CLUSTER)?;
            Some(Self { host: "127.0.0.1".to_owned(), port })
        };
        (0..count).map(address).collect()
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    fn is_here(&self) -> bool {
        self.host == "127.0.0.1"
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("{text:?} is not HOST:PORT, such as nats-1.example:4222");
        let (host, port) = text.rsplit_once(':').ok_or_else(malformed)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        let port: u16 = port.parse().map_err(|_| malformed())?;
        match !host.is_empty() && host.chars().all(allowed) && port.checked_add(CLUSTER).is_some() {
            true => Ok(Self { host: host.to_owned(), port }),
            false => Err(malformed()),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The public keys of a fleet's members.
pub(super) struct MemberKeys {
    pub(super) operator: String,
    pub(super) api: String,
    /// The key with which the hosts reach their log. It is in an account of its own: a member of the
    /// other can have a server's acknowledgement sent to any subject there.
    pub(super) hosts: String,
    pub(super) runtimes: BTreeMap<RuntimeId, String>,
    pub(super) pool: SubjectPart,
}

/// Returns the configuration of the server with this number, counted from 1. `secret` is known to the
/// servers only.
pub(super) fn server_file(
    number: usize,
    addresses: &[ServerAddress],
    members: &MemberKeys,
    secret: &str,
) -> String {
    let own = &addresses[number - 1];
    // A name of a machine may be another address inside.
    let bind = if own.is_here() { "127.0.0.1" } else { "0.0.0.0" };
    let mut text = format!(
        "# Written by `skep fleet init`, for nats-server 2.15 or later.\n\
         server_name: skep-{number}\n\
         listen: \"{bind}:{port}\"\n\
         max_payload: 1MB\n\
         tls {{ cert_file: \"./server-{number}.pem\", key_file: \"./server-{number}.key\" }}\n\
         # Written to disk before it is acknowledged: otherwise a power cut loses what was.\n\
         jetstream {{ store_dir: \"./server-{number}.data\", sync_interval: always }}\n",
        port = own.port,
    );
    if addresses.len() > 1 {
        let routes: Vec<String> = addresses
            .iter()
            .filter(|other| *other != own)
            .map(|other| {
                format!("\"nats-route://skep:{secret}@{}:{}\"", other.host, other.port + CLUSTER)
            })
            .collect();
        put(
            &mut text,
            format_args!(
                "cluster {{\n  name: skep\n  listen: \"{bind}:{port}\"\n  \
                 authorization {{ user: skep, password: \"{secret}\" }}\n  \
                 tls {{ cert_file: \"./server-{number}.pem\", key_file: \"./server-{number}.key\", \
                 ca_file: \"./ca.pem\" }}\n  routes: [{}]\n}}\n",
                routes.join(", "),
                port = own.port + CLUSTER,
            ),
        );
    }
    text.push_str("accounts {\n  RUNTIMES { jetstream: enabled, users: [\n");
    put_user(&mut text, &members.api, &api_rights(&members.api));
    for (runtime, key) in &members.runtimes {
        put_user(&mut text, key, &runtime_rights(&members.pool, runtime, key));
    }
    text.push_str("  ] }\n  HOSTS { jetstream: enabled, users: [\n");
    put_user(&mut text, &members.hosts, &hosts_rights(&members.hosts));
    text.push_str("  ] }\n  SYSTEM { users: [\n");
    put_user(&mut text, &members.operator, &operator_rights(&members.operator));
    text.push_str("  ] }\n}\nsystem_account: SYSTEM\n");
    text
}

/// The subjects that a member may publish and subscribe to.
struct MemberRights {
    publish: Vec<String>,
    subscribe: Vec<String>,
    /// True if it may answer requests, once each.
    answers: bool,
}

/// The operator asks the servers how they are, and sees nothing of what members say.
fn operator_rights(key: &str) -> MemberRights {
    let publish = ["VARZ", "JSZ", "HEALTHZ"].map(|what| format!("$SYS.REQ.SERVER.PING.{what}"));
    MemberRights {
        publish: publish.to_vec(),
        subscribe: vec![format!("_INBOX.{key}.>")],
        answers: false,
    }
}

/// A host shares a log with the others.
fn hosts_rights(key: &str) -> MemberRights {
    let publish = [
        "hosts.entry",
        "hosts.mark",
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.HOSTS",
        "$JS.API.STREAM.CREATE.HOSTS",
        "$JS.API.CONSUMER.CREATE.HOSTS",
        "$JS.API.CONSUMER.CREATE.HOSTS.>",
        "$JS.API.CONSUMER.INFO.HOSTS.>",
        "$JS.API.CONSUMER.DELETE.HOSTS.>",
        "$JS.FC.>",
    ];
    MemberRights {
        publish: publish.map(str::to_owned).to_vec(),
        subscribe: vec![format!("_INBOX.{key}.>")],
        answers: false,
    }
}

/// A host opens streams to runtimes, and reads what they say of themselves.
fn api_rights(key: &str) -> MemberRights {
    let publish = [
        "rt.*.*.dial",
        "rt.*.*.s.*",
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.KV_RT",
        "$JS.API.STREAM.CREATE.KV_RT",
        "$JS.API.CONSUMER.CREATE.KV_RT",
        "$JS.API.CONSUMER.CREATE.KV_RT.>",
        "$JS.API.CONSUMER.INFO.KV_RT.>",
        "$JS.API.CONSUMER.DELETE.KV_RT.>",
        "$JS.FC.>",
    ];
    MemberRights {
        publish: publish.map(str::to_owned).to_vec(),
        subscribe: vec![
            "up.*.s.*".to_owned(),
            "rt.*.*.up".to_owned(),
            "hb.>".to_owned(),
            format!("_INBOX.{key}.>"),
        ],
        answers: false,
    }
}

/// A runtime takes what is for it, and writes only to hosts and under its own id.
fn runtime_rights(pool: &SubjectPart, runtime: &RuntimeId, key: &str) -> MemberRights {
    MemberRights {
        publish: vec![
            "up.*.s.*".to_owned(),
            format!("rt.{pool}.{runtime}.up"),
            format!("hb.{pool}.{runtime}"),
            format!("$KV.RT.{runtime}"),
        ],
        subscribe: vec![
            format!("rt.{pool}.{runtime}.dial"),
            format!("rt.{pool}.{runtime}.s.*"),
            format!("_INBOX.{key}.>"),
        ],
        answers: true,
    }
}

fn put_user(text: &mut String, key: &str, rights: &MemberRights) {
    let quoted = |subjects: &[String]| {
        let all: Vec<String> = subjects.iter().map(|subject| format!("\"{subject}\"")).collect();
        all.join(", ")
    };
    let answers =
        if rights.answers { ", allow_responses: { max: 1, expires: \"1m\" }" } else { "" };
    put(
        text,
        format_args!(
            "    {{ nkey: {key}, permissions: {{\n      publish: {{ allow: [{}] }}\n      \
             subscribe: {{ allow: [{}] }}{answers} }} }}\n",
            quoted(&rights.publish),
            quoted(&rights.subscribe),
        ),
    );
}

/// Appends to a text.
fn put(text: &mut String, more: fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writes to a string succeed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for good in ["nats-1.example:4222", "10.0.0.1:1"] {
            assert_eq!(good.parse::<ServerAddress>().unwrap().to_string(), good);
        }
        for bad in ["nats", ":4222", "a b:1", "a:70000", "a:65000", "a\"b:1"] {
            assert!(bad.parse::<ServerAddress>().is_err(), "{bad}");
        }
        assert_eq!(
            ServerAddress::on_this_machine(4222, 3).unwrap()[2].to_string(),
            "127.0.0.1:4224"
        );
        assert_eq!(ServerAddress::on_this_machine(65_000, 3), None);
    }

    #[test]
    fn a_runtime_writes_under_its_own_id_only() {
        let rights = runtime_rights(&"p".parse().unwrap(), &"alpha".parse().unwrap(), "UKEY");
        for subject in rights.publish.iter().filter(|subject| !subject.starts_with("up.")) {
            assert!(subject.split('.').any(|part| part == "alpha"), "{subject}");
        }
        for subject in &rights.subscribe {
            assert!(subject.starts_with("rt.p.alpha.") || subject.starts_with("_INBOX.UKEY."));
        }
    }
}
