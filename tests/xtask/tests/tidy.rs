//! House rules that no compiler checks: patterns that must be absent from the sources.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt;
use std::fs;

use xtask::tree;

/// The bound on the lines of a source file.
const LONGEST: usize = 900;

/// Limits without a hostile guest, each with the reason. A name leaves this list with the test that
/// hits it.
const WITHOUT_A_TEST_YET: &[(&str, &str)] = &[];

/// Returns true for the files that may serialise types: data that leaves the process has a fixed
/// shape.
fn may_serialise(name: &str) -> bool {
    const FILES: &[&str] = &[
        "host/cli/src/report.rs",
        "host/cli/src/project/report.rs",
        // The writer of reports, which takes any serialisable value.
        "host/cli/src/json.rs",
        // Files that the operator writes, and those that a host leaves for its own user's commands.
        "host/cli/src/settings.rs",
        "host/cli/src/site_setting.rs",
        "host/cli/src/running.rs",
        // Files of a fleet's members, what runtimes and hosts say there, and what servers answer.
        "host/cli/src/fleet_file.rs",
        "host/fleet/src/record.rs",
        "host/fleet/src/server_answer.rs",
        "host/registry/src/replica/entry.rs",
        // Files that an author writes, and messages to the author's own bundler.
        "host/project/src/bundler.rs",
        "host/project/src/language.rs",
        "host/project/src/manifest.rs",
        "host/project/src/turns.rs",
        // Messages between a host and its own child process, parsed strictly.
        "host/sandbox/src/out_of_process/message.rs",
    ];
    // Files of `skep ci`, in which nothing has a field for a host path: the pipeline, results, logs,
    // provenance.
    let is_ci = name.starts_with("host/ci/src/");
    name.starts_with("host/protocol/") || is_ci || FILES.contains(&name)
}

/// A Rust file of the tree.
struct Source {
    /// The path from the root of the tree.
    name: String,
    text: String,
}

/// A line that is displayed like a compiler's location.
struct Line<'a> {
    source: &'a Source,
    /// The line number, from 1.
    number: usize,
    text: &'a str,
    /// True in test code.
    test: bool,
}

impl Source {
    fn all() -> Vec<Self> {
        let mut sources = Vec::new();
        for folder in ["host", "guest-sdk", "examples", "tests"] {
            for name in tree::sources(&tree::root().join(folder)).unwrap() {
                if name.extension().is_some_and(|extension| extension == "rs") {
                    let name = format!("{folder}/{}", name.display());
                    let text = fs::read_to_string(tree::root().join(&name)).unwrap();
                    sources.push(Self { name, text });
                }
            }
        }
        assert!(sources.len() > 100, "the sources are not found");
        sources
    }

    /// Iterates over the lines of code, without comment lines.
    fn code(&self) -> impl Iterator<Item = Line<'_>> {
        let mut test = self.name.contains("/tests/") || self.name.ends_with("/tests.rs");
        test |= self.name.starts_with("tests/");
        self.text.lines().enumerate().filter_map(move |(index, text)| {
            test |= text.trim() == "#[cfg(test)]";
            let comment = text.trim_start().starts_with("//");
            (!comment).then_some(Line { source: self, number: index + 1, text, test })
        })
    }

    fn is_host(&self) -> bool {
        self.name.starts_with("host/")
    }

    /// Returns true for this file, which contains the words that it looks for.
    fn is_this(&self) -> bool {
        self.name == "tests/xtask/tests/tidy.rs"
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.source.name, self.number, self.text.trim())
    }
}

/// Returns the positions of a whole word in the line.
fn places<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .filter(move |&(at, _)| {
            !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part)
        })
        .map(|(at, _)| at)
}

fn none_of<'a>(lines: impl Iterator<Item = Line<'a>>, why: &str) {
    let found: Vec<_> = lines.map(|line| line.to_string()).collect();
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn no_source_file_is_too_long() {
    let long = Source::all().into_iter().filter(|source| source.text.lines().count() > LONGEST);
    let long: Vec<_> = long.map(|source| source.name).collect();
    assert!(long.is_empty(), "over {LONGEST} lines; split off a second noun: {long:?}");
}

#[test]
fn lints_are_only_disabled_by_expect_with_a_reason() {
    let sources = Source::all();
    let code = || sources.iter().filter(|source| !source.is_this()).flat_map(Source::code);
    let allowed = code().filter(|line| line.text.contains("[allow("));
    none_of(allowed, "use #[expect(lint, reason = \"...\")]");
}

/// The workspace denies `unsafe_code`, so the compiler refuses `unsafe` without an attribute.
#[test]
fn unsafe_code_has_a_reason() {
    let manifest = fs::read_to_string(tree::root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let lints = &manifest["workspace"]["lints"]["rust"];
    assert_eq!(lints["unsafe_code"].as_str(), Some("deny"));
    let sources = Source::all();
    for member in manifest["workspace"]["members"].as_array().unwrap() {
        let folder = member.as_str().unwrap();
        let path = tree::root().join(folder).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if inherits.and_then(toml::Value::as_bool) != Some(true) {
            // For example the SDK, which is also built outside the workspace.
            let own = sources.iter().filter(|s| s.name.starts_with(&format!("{folder}/")));
            let code = own.flat_map(Source::code);
            let code = code.filter(|line| places(line.text, "unsafe").next().is_some());
            none_of(code, "its manifest does not deny unsafe code");
        }
    }
    for source in sources.iter().filter(|source| !source.is_this()) {
        for (at, _) in source.text.match_indices("expect(unsafe_code") {
            let rest = &source.text[at..];
            let attribute = &rest[..rest.find(']').unwrap_or(rest.len())];
            assert!(attribute.contains("reason = \""), "{}: {attribute}", source.name);
        }
    }
}

#[test]
fn only_promised_types_are_serialised() {
    let sources = Source::all();
    let here = |source: &&Source| source.is_host() && !may_serialise(&source.name);
    let serialised = sources.iter().filter(here).flat_map(Source::code).filter(|line| {
        !line.test
            && ["Serialize", "Deserialize", "serde"]
                .iter()
                .any(|word| places(line.text, word).next().is_some())
    });
    none_of(serialised, "make it a type of the protocol or of the CLI's report");
}

#[test]
fn access_by_name_is_obtained_in_one_place() {
    let sources = Source::all();
    let uses = || {
        let code = sources.iter().filter(|source| source.is_host()).flat_map(Source::code);
        code.filter(|line| !line.test && places(line.text, "ambient_authority").next().is_some())
    };
    let home = "host/cli/src/ambient.rs";
    assert!(uses().any(|line| line.source.name == home), "{home} is not found");
    none_of(uses().filter(|line| line.source.name != home), "take a handle as a parameter");
}

#[test]
fn every_example_says_how_to_run_it() {
    for entry in fs::read_dir(tree::root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let readme = path.join("README.md");
        assert!(!path.is_dir() || readme.is_file(), "there is no {}", readme.display());
    }
}

#[test]
fn every_limit_is_hit_by_a_test() {
    let sources = Source::all();
    let table = "host/protocol/src/limits.rs";
    let source = sources.iter().find(|source| source.name == table).unwrap();
    let (_, rows) = source.text.split_once("\nlimits! {\n").expect("the table is there");
    let (rows, _) = rows.split_once("\n}").expect("the table ends");
    let limits: Vec<_> = rows.lines().filter_map(|row| row.trim().split_once(':')).collect();
    assert!(limits.len() > 20, "{limits:?}");

    let elsewhere = |source: &&Source| source.name != table && !source.is_this();
    let lines: Vec<_> =
        sources.iter().filter(elsewhere).flat_map(Source::code).filter(|line| line.test).collect();
    // As a test's name, a variant of the enum or in a string; any other word does not count.
    let names = |line: &Line<'_>, limit: &str| {
        places(line.text, limit).any(|at| {
            let before = &line.text[..at];
            before.ends_with("LimitName::")
                || before.trim_start() == "fn "
                || before.matches('"').count() % 2 == 1
        })
    };
    let mut untested: Vec<_> = Vec::new();
    for (limit, _) in limits {
        if !lines.iter().any(|line| names(line, limit)) {
            untested.push(limit);
        }
    }
    let expected: Vec<_> = WITHOUT_A_TEST_YET.iter().map(|(limit, _)| *limit).collect();
    assert_eq!(untested, expected, "limits without a test must be listed");
}
