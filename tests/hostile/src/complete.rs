//! Completeness: each hostile file has a case, and each limit is hit by one.

use std::collections::BTreeSet;
use std::path::Path;

use skep_protocol::LimitName;
use xtask::tree;

use crate::attack::Attack;
use crate::case::Case;
use crate::cases;

/// Returns the names of the files in a folder, without extensions.
fn files(folder: &Path) -> BTreeSet<String> {
    let sources = tree::sources(folder).unwrap();
    let stem = |path: &std::path::PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    sources.iter().map(stem).collect()
}

fn cases_of(kind: impl Fn(&Attack) -> bool) -> BTreeSet<String> {
    let of_kind = cases::all().into_iter().filter(|case| kind(&case.attack));
    of_kind.map(|case| case.name.to_owned()).collect()
}

#[test]
fn every_hostile_file_has_a_case() {
    let guests = tree::root().join("tests/guests/hostile");
    let commands = cases_of(|what| matches!(what, Attack::Command));
    assert_eq!(files(&guests.join("src/bin")), commands);
    let texts = cases_of(|what| matches!(what, Attack::Text));
    assert_eq!(files(&guests.join("wat")), texts);
    let mut ways = files(&guests.join("service/src"));
    ways.remove("lib");
    assert_eq!(ways, cases_of(|what| matches!(what, Attack::Service)));
    let sources = tree::root().join("tests/hostile/src");
    assert_eq!(files(&sources.join("made")), cases_of(|what| matches!(what, Attack::Made(_))));
    assert_eq!(files(&sources.join("own")), cases_of(|what| matches!(what, Attack::Own(_))));
}

#[test]
fn case_names_are_unique() {
    let mut seen = BTreeSet::new();
    for case in cases::all() {
        assert!(seen.insert(case.name), "there are two cases {}", case.name);
    }
}

#[test]
fn every_limit_is_hit_by_a_case() {
    let hit: BTreeSet<LimitName> = cases::all().iter().flat_map(Case::all_hits).collect();
    let without: Vec<_> = LimitName::ALL.iter().filter(|name| !hit.contains(name)).collect();
    assert!(without.is_empty(), "limits that no case hits: {without:?}");
}
