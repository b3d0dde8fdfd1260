//! Who may depend on whom, held over `cargo metadata`: what a crate cannot name, it cannot misuse.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use cargo_metadata::semver::{Version, VersionReq};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use xtask::tree;

/// The design's crates and the ones that each of them names; none other.
const EDGES: &[(&str, &[&str])] = &[
    ("skep-protocol", &[]),
    ("skep-store", &["skep-protocol"]),
    ("skep-client", &["skep-protocol"]),
    ("skep-runtime", &["skep-protocol", "skep-store"]),
    ("skep-registry", &["skep-protocol", "skep-client"]),
    ("skep-api", &["skep-protocol", "skep-registry"]),
    ("skep-guest", &[]),
];

/// The composition root, which may name them all.
const ROOT: &str = "skep";

/// Whose tests may compile the engine.
const ENGINE: &[&str] = &["skep-runtime", ROOT];

/// Versions below which there are known ways out of the sandbox.
const FLOOR: &[(&str, &str)] = &[
    ("wasmtime", ">=48.0.8, <49"),
    ("wasmtime-wasi", ">=48.0.8, <49"),
    ("cap-std", ">=4.0.3"),
    ("cap-primitives", ">=4.0.3"),
];

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(tree::root().join("Cargo.toml"));
    command.other_options(vec!["--locked".into()]).exec().unwrap()
}

/// Members that are shipped: not the tests' own.
fn shipped(metadata: &Metadata) -> Vec<&Package> {
    let root = &metadata.workspace_root;
    let members = metadata.workspace_packages().into_iter();
    let shipped: Vec<_> =
        members.filter(|member| !member.manifest_path.starts_with(root.join("tests"))).collect();
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
fn only_the_runtime_names_the_engine() {
    let metadata = metadata();
    for member in shipped(&metadata) {
        let engine = member.dependencies.iter().map(|dependency| dependency.name.as_str());
        let engine: Vec<_> = engine
            .filter(|name| {
                ["wasmtime", "cranelift", "wiggle"].iter().any(|part| name.starts_with(part))
            })
            .collect();
        assert_eq!(engine.is_empty(), member.name != "skep-runtime", "{}: {engine:?}", member.name);
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
                // Tests are built of the member itself only.
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

#[test]
fn what_keeps_guests_in_is_above_its_security_floor() {
    let metadata = metadata();
    for (name, floor) in FLOOR {
        let versions: Vec<&Version> = metadata
            .packages
            .iter()
            .filter(|package| package.name == *name)
            .map(|package| &package.version)
            .collect();
        let floor = VersionReq::parse(floor).unwrap();
        assert!(!versions.is_empty(), "{name} is gone; so should its floor be");
        let above = versions.iter().all(|version| floor.matches(version));
        assert!(above, "{name} {versions:?} is not {floor}");
    }
}

#[test]
fn every_license_is_one_that_was_agreed_to() {
    let deny = fs::read_to_string(tree::root().join("deny.toml")).unwrap();
    let deny: toml::Table = deny.parse().unwrap();
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
