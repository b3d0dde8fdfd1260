//! The permitted dependencies between crates, checked with `cargo metadata`: a crate cannot misuse
//! what it cannot name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cargo_metadata::semver::Version;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use xtask::tree;

/// The crates of the design with the crates that each may name.
const EDGES: &[(&str, &[&str])] = &[
    ("skep-protocol", &[]),
    ("skep-scope", &["skep-protocol"]),
    ("skep-store", &["skep-protocol", "skep-scope"]),
    ("skep-client", &["skep-protocol"]),
    ("skep-project", &["skep-protocol"]),
    ("skep-sandbox", &["skep-protocol", "skep-scope"]),
    ("skep-lanes", &["skep-protocol", "skep-sandbox"]),
    ("skep-runtime", &["skep-protocol", "skep-scope", "skep-store", "skep-sandbox", "skep-lanes"]),
    ("skep-ci", &["skep-protocol", "skep-scope"]),
    ("skep-steps", &["skep-protocol", "skep-scope", "skep-ci", "skep-sandbox"]),
    ("skep-registry", &["skep-protocol", "skep-client"]),
    ("skep-api", &["skep-protocol", "skep-registry"]),
    ("skep-fleet", &["skep-protocol", "skep-registry"]),
    ("skep-guest", &["skep-guest-macros"]),
    ("skep-guest-macros", &[]),
];

/// The composition root, which may name them all.
const ROOT: &str = "skep";

/// The crates whose tests may compile the engine.
const ENGINE: &[&str] = &["skep-sandbox", "skep-lanes", "skep-runtime", "skep-steps", ROOT];

/// Crates for which deny.toml must have a floor.
const FLOORED: &[&str] = &["cap-primitives", "cap-std", "h2", "rustls", "tar", "time", "wasmtime"];

/// The major version of the engine to which its floor belongs: each has a floor of its own.
const ENGINE_LINE: u64 = 48;

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(tree::root().join("Cargo.toml"));
    command.other_options(vec!["--locked".into()]).exec().unwrap()
}

/// Lists the members that are shipped, without those for tests and examples.
fn shipped(metadata: &Metadata) -> Vec<&Package> {
    let root = &metadata.workspace_root;
    let members = metadata.workspace_packages().into_iter();
    let shipped: Vec<_> = members
        .filter(|member| {
            !["tests", "examples"]
                .iter()
                .any(|folder| member.manifest_path.starts_with(root.join(folder)))
        })
        .collect();
    assert!(shipped.iter().any(|member| member.name == ROOT));
    shipped
}

#[test]
fn a_crate_names_only_its_neighbours() {
    let metadata = metadata();
    let shipped = shipped(&metadata);
    let names: BTreeSet<_> = shipped.iter().map(|member| member.name.as_str()).collect();
    for member in shipped.iter().filter(|member| member.name != ROOT) {
        let row = EDGES.iter().find(|(name, _)| member.name == *name);
        let (_, allowed) = row.unwrap_or_else(|| panic!("{} is not in the design", member.name));
        let expected: BTreeSet<_> =
            allowed.iter().copied().filter(|name| names.contains(name)).collect();
        let found: BTreeSet<_> = member
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .map(|dependency| dependency.name.as_str())
            .filter(|name| names.contains(name))
            .collect();
        assert_eq!(found, expected, "{}", member.name);
    }
}

#[test]
fn only_the_sandbox_names_the_engine() {
    let metadata = metadata();
    for member in shipped(&metadata) {
        let engine = member.dependencies.iter().map(|dependency| dependency.name.as_str());
        let engine: Vec<_> = engine
            .filter(|name| {
                ["wasmtime", "cranelift", "wiggle"].iter().any(|part| name.starts_with(part))
            })
            .collect();
        assert_eq!(engine.is_empty(), member.name != "skep-sandbox", "{}: {engine:?}", member.name);
    }
}

#[test]
fn testing_the_others_does_not_compile_the_engine() {
    let metadata = metadata();
    let names: BTreeMap<&PackageId, &str> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let resolve = metadata.resolve.as_ref().unwrap();
    for member in shipped(&metadata) {
        let mut reached = BTreeSet::from([&member.id]);
        let mut next = vec![&member.id];
        while let Some(id) = next.pop() {
            for dependency in &resolve[id].deps {
                // Tests are built for the member itself only.
                let built = id == &member.id
                    || dependency.dep_kinds.iter().any(|k| k.kind != DependencyKind::Development);
                if built && reached.insert(&dependency.pkg) {
                    next.push(&dependency.pkg);
                }
            }
        }
        let reaches = reached.iter().any(|id| names[*id] == "wasmtime");
        assert_eq!(reaches, ENGINE.contains(&member.name.as_str()), "{}", member.name);
    }
}

fn deny() -> toml::Table {
    fs::read_to_string(tree::root().join("deny.toml")).unwrap().parse().unwrap()
}

/// Returns the first version without a known vulnerability, by crate.
fn floors() -> BTreeMap<String, Version> {
    let deny = deny();
    let bans = deny["bans"]["deny"].as_array().unwrap();
    let floor = |ban: &toml::Value| {
        let (name, floor) = ban["crate"].as_str().unwrap().split_once("@<").unwrap();
        (name.to_owned(), Version::parse(floor).unwrap())
    };
    bans.iter().map(floor).collect()
}

/// Lists the names and versions in a lock file.
fn locked(file: &Path) -> Vec<(String, Version)> {
    let lock: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
    let packages = lock["package"].as_array().unwrap().iter();
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
    packages.map(|one| (text(one, "name"), text(one, "version").parse().unwrap())).collect()
}

#[test]
fn every_lock_file_is_above_the_security_floors() {
    let (root, floors) = (tree::root(), floors());
    for name in FLOORED {
        assert!(floors.contains_key(*name), "deny.toml has no floor for {name}");
    }
    let files = tree::sources(root).unwrap();
    let files: Vec<_> = files.iter().filter(|file| file.ends_with("Cargo.lock")).collect();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        for (name, version) in locked(&root.join(file)) {
            let floor = floors.get(&name).filter(|floor| version < **floor);
            assert_eq!(floor, None, "{name} {version} in {}", file.display());
        }
    }
    let ours = locked(&root.join("Cargo.lock"));
    for name in floors.keys() {
        assert!(
            ours.iter().any(|(one, _)| one == name),
            "{name} is not used any more; remove its floor"
        );
    }
    let engines = ours.iter().filter(|(name, _)| name == "wasmtime");
    assert!(
        engines.clone().all(|(_, version)| version.major == ENGINE_LINE),
        "the engine has a new major version; update its floor"
    );
}

/// A tree with a lock file of its own is built with `--locked`, and only by a late step of the tests.
#[test]
fn every_lock_file_has_the_dependencies_of_our_crates() {
    let (root, metadata) = (tree::root(), metadata());
    let ours: BTreeMap<_, _> =
        metadata.workspace_packages().into_iter().map(|one| (one.name.to_string(), one)).collect();
    let files = tree::sources(root).unwrap();
    let mut compared = 0;
    for file in files.iter().filter(|file| file.ends_with("Cargo.lock")) {
        let lock: toml::Table = fs::read_to_string(root.join(file)).unwrap().parse().unwrap();
        for package in lock["package"].as_array().unwrap() {
            let of = package["name"].as_str().unwrap();
            let Some(manifest) = ours.get(of).filter(|_| package.get("source").is_none()) else {
                continue;
            };
            let locked = package.get("dependencies").and_then(|list| list.as_array());
            let locked = locked.into_iter().flatten().filter_map(|one| one.as_str());
            // With its version where there are several.
            let locked: BTreeSet<_> = locked.filter_map(|one| one.split(' ').next()).collect();
            let needed = manifest.dependencies.iter().filter(|dependency| {
                dependency.kind != DependencyKind::Development && !dependency.optional
            });
            for needed in needed {
                compared += 1;
                assert!(
                    locked.contains(needed.name.as_str()),
                    "{} lacks {} of {of}: run `cargo metadata` in its folder",
                    file.display(),
                    needed.name
                );
            }
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn every_license_is_allowed() {
    let deny = deny();
    let list = deny["licenses"]["allow"].as_array().unwrap();
    let allowed: Vec<_> =
        list.iter().map(|name| spdx::Licensee::parse(name.as_str().unwrap()).unwrap()).collect();

    let mut needed = BTreeSet::new();
    for package in &metadata().packages {
        let license = package.license.as_deref();
        let license = license.unwrap_or_else(|| panic!("{} names no license", package.name));
        let expression = spdx::Expression::parse_mode(license, spdx::ParseMode::LAX).unwrap();
        let agreed = expression.evaluate(|requirement| {
            let found = allowed.iter().position(|licensee| licensee.satisfies(requirement));
            needed.extend(found);
            found.is_some()
        });
        assert!(agreed, "{} {} is {license}", package.name, package.version);
    }
    assert_eq!(needed.len(), allowed.len(), "deny.toml allows more than Cargo.lock needs");
}
