//! `workerd` with one JavaScript module, for comparison.

use std::fs;
use std::path::Path;
use std::process::Command;

use xtask::packages;

use crate::Failure;
use crate::served::Served;

/// Starts it in a folder that is there. A module that exports a class `Counter` gets a namespace of
/// Durable Objects by the name `COUNTER`, with SQLite on disk.
pub(crate) fn start(folder: &Path, module: &str) -> Result<Served, Failure> {
    fs::create_dir_all(folder.join("data"))?;
    let objects = match module.contains("class Counter") {
        true => {
            r#"  durableObjectNamespaces = [(className = "Counter", uniqueKey = "c", enableSql = true)],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [(name = "COUNTER", durableObjectNamespace = "Counter")],
"#
        }
        false => "",
    };
    let config = |address: &str| {
        format!(
            r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "disk", disk = (path = "data", writable = true)),
  ],
  sockets = [(name = "http", address = "{address}", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2025-01-01",
{objects});
"#
        )
    };
    fs::write(folder.join("worker.js"), module)?;
    let program = packages::ensure(packages::WORKERD)?;
    let write = |address: &str| fs::write(folder.join("config.capnp"), config(address));
    Served::at_free_port(folder, |address| {
        // If it cannot be written, the program says that it is not there.
        let _ = write(address);
        let mut command = Command::new(program);
        command.args(["serve", "config.capnp"]);
        command
    })
}
