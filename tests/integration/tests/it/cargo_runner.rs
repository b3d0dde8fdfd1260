//! `skep run --cargo`: tests of Rust crates under cargo and nextest, and hooks of a repository.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use skep_harness::{Run, TestDir, shared_cache, skep, test_dir};
use xtask::crates::{self, MEMCHR, SEMVER};
use xtask::{guests, python};

/// Lets one test at a time build. Packages of one name in two directories have the same files in the
/// shared target directory.
fn alone() -> MutexGuard<'static, ()> {
    static BUILDING: Mutex<()> = Mutex::new(());
    BUILDING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runner() -> String {
    format!("{} run --cargo", skep().display())
}

/// Makes a `cargo test` in a directory, for components or for preview1 modules.
fn cargo_test(dir: &Path, is_component: bool) -> Command {
    let mut cargo = guests::cargo_test(is_component, &runner()).expect("there is a compiler");
    cargo.current_dir(dir).env("XDG_CACHE_HOME", shared_cache());
    cargo
}

#[track_caller]
fn text(output: &Output) -> String {
    let (out, err) =
        [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned()).into();
    assert!(output.status.success(), "{out}\n{err}");
    out + &err
}

/// Returns the number of tests that passed.
fn passed(text: &str) -> u32 {
    let counts = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("test result: ok. ")?;
        rest.split(' ').next()?.parse::<u32>().ok()
    });
    counts.sum()
}

/// A package whose tests look at what a runner has to provide.
fn fixture() -> TestDir {
    let dir = test_dir();
    for folder in ["src", "tests", "fixtures"] {
        std::fs::create_dir(dir.join(folder)).unwrap();
    }
    dir.file(
        "Cargo.toml",
        "[package]\nname = \"fixture-tests\"\nversion = \"1.2.3\"\nedition = \"2021\"\n[workspace]\n",
    );
    dir.file("src/lib.rs", "");
    dir.file("fixtures/greeting.txt", "hello");
    dir.file(
        "tests/surroundings.rs",
        r#"
use std::{env, fs};

#[test]
fn a_fixture_by_a_relative_path() {
    assert_eq!(fs::read_to_string("fixtures/greeting.txt").unwrap(), "hello");
}

#[test]
fn a_fixture_by_the_manifest_dir() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/greeting.txt");
    assert_eq!(fs::read_to_string(path).unwrap(), "hello");
    assert_eq!(env::var("CARGO_MANIFEST_DIR").unwrap(), env!("CARGO_MANIFEST_DIR"));
}

#[test]
fn variables_of_the_package_and_no_secrets() {
    assert_eq!(env::var("CARGO_PKG_VERSION").unwrap(), "1.2.3");
    for name in ["CARGO_REGISTRY_TOKEN", "CARGO_HTTP_PROXY", "HOME", "PATH", "USER"] {
        assert!(env::var_os(name).is_none(), "{name}");
    }
}

#[test]
fn a_directory_for_temporary_files() {
    let path = env::var("TMPDIR").unwrap() + "/file";
    fs::write(&path, "temporary").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "temporary");
}

#[test]
fn the_package_is_read_only() {
    fs::write("fixtures/new", "x").unwrap_err();
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/new"), "x").unwrap_err();
    fs::read_dir("/etc").unwrap_err();
}
"#,
    );
    dir
}

#[test]
fn tests_find_their_fixtures_variables_and_temporary_files() {
    let _alone = alone();
    let dir = fixture();
    for is_component in [false, true] {
        let mut cargo = cargo_test(&dir, is_component);
        cargo.env("CARGO_REGISTRY_TOKEN", "secret").env("CARGO_HTTP_PROXY", "http://me:pass@x");
        let text = text(&cargo.args(["--offline", "--tests"]).output().unwrap());
        assert_eq!(passed(&text), 5, "{text}");
    }
    assert!(!dir.join("fixtures/new").exists() && !dir.join("new").exists());
}

#[test]
fn a_failed_test_fails_the_run() {
    let _alone = alone();
    let dir = fixture();
    dir.file("tests/surroundings.rs", "#[test] fn it() { assert_eq!(1, 2, \"told\") }");
    let mut cargo = cargo_test(&dir, false);
    // A panic aborts, so captured output is lost.
    cargo.args(["--offline", "--tests", "--", "--nocapture"]);
    let output = cargo.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("told"), "{said}");
}

#[test]
fn the_tests_of_semver_and_memchr_pass() {
    let _alone = alone();
    for (wanted, tests) in [(SEMVER, 34), (MEMCHR, 83)] {
        let dir = test_dir();
        crates::copy(wanted, &dir).unwrap();
        let output = cargo_test(&dir, false).arg("--tests").output().unwrap();
        let text = text(&output);
        assert_eq!(passed(&text), tests, "{}: {text}", wanted.name);
    }
}

#[test]
fn nextest_runs_each_test_in_a_guest_of_its_own() {
    let _alone = alone();
    let nextest = python::nextest().expect("nextest can be fetched");
    let dir = test_dir();
    crates::copy(SEMVER, &dir).unwrap();
    for (dir, tests) in [(&fixture(), 5), (&dir, 34)] {
        let cargo = cargo_test(dir, false);
        // The same cargo, with another subcommand and the same flags.
        let mut command = Command::new(&nextest);
        command.args(["nextest", "run"]).args(cargo.get_args().skip(1)).current_dir(&**dir);
        command.env("CARGO", cargo.get_program());
        for (name, value) in cargo.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("CARGO", cargo.get_program());
        let text = text(&command.args(["--tests"]).output().unwrap());
        assert!(text.contains(&format!("{tests} tests run: {tests} passed")), "{text}");
    }
}

#[test]
fn outside_of_cargo_it_is_refused() {
    let dir = test_dir();
    let run = || Run::with(&["--cargo"]).guest("probe", &["args", "ran"]);
    run().env("CARGO_MANIFEST_DIR", &*dir).go().expect(0);
    run().env("CARGO_MANIFEST_DIR", "/").go().expect(125).says("which is / here");
    run().env("CARGO_MANIFEST_DIR", "relative").go().expect(125).says("not an absolute path");
    let ran = Run::with(&["--cargo"]).env_clear().guest("probe", &["args", "ran"]).go();
    ran.expect(125).says("CARGO_MANIFEST_DIR is not set").says("CARGO_TARGET_WASM32_WASIP1_RUNNER");
}

#[test]
fn a_mapped_directory_takes_the_place_of_the_package() {
    let (package, other) = (test_dir(), test_dir());
    package.file("file", "package");
    other.file("file", "other");
    let mount = format!("{}::{}:rw", other.display(), package.display());
    let run = |args: &[&str]| {
        let run = Run::with(&["--cargo", "--dir", &mount]).env("CARGO_MANIFEST_DIR", &*package);
        run.guest("probe", args).go().expect(0).text()
    };
    let path = package.join("file").display().to_string();
    assert_eq!(run(&["read", &path]), "other");
    run(&["append", &path, "+"]);
    assert_eq!(
        (package.read("file"), other.read("file")),
        (b"package".to_vec(), b"other+".to_vec())
    );
}

#[test]
fn the_recipes_of_the_readme_are_those_that_are_tested() {
    let readme = std::fs::read_to_string(skep_harness::root().join("README.md")).unwrap();
    assert!(readme.contains(HOOKS), "the hooks differ");
    assert!(readme.contains("CARGO_TARGET_WASM32_WASIP1_RUNNER=\"skep run --cargo\""));
}

/// The hooks of the README.
const HOOKS: &str = r#"repos:
  - repo: local
    hooks:
      - id: python-syntax
        name: python syntax
        language: system
        entry: skep run --dir .::/ python.wasm -c "import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]"
        files: \.py$
"#;

#[test]
fn a_hook_gets_the_changed_files_and_nothing_else() {
    let prek = python::prek().expect("prek can be fetched");
    let dir = test_dir();
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(args).current_dir(&*dir);
        text(&git.output().unwrap())
    };
    git(&["init", "--quiet"]);
    dir.file(".pre-commit-config.yaml", HOOKS);
    std::os::unix::fs::symlink(crate::programs::python(), dir.join("python.wasm")).unwrap();
    std::fs::create_dir(dir.join("bin")).unwrap();
    std::os::unix::fs::symlink(skep(), dir.join("bin/skep")).unwrap();
    let run = |name: &str, content: &str| {
        dir.file(name, content);
        git(&["add", name, ".pre-commit-config.yaml"]);
        let path = std::env::var("PATH").unwrap();
        let mut hooks = Command::new(&prek);
        hooks.arg("run").current_dir(&*dir).env("XDG_CACHE_HOME", shared_cache());
        hooks.env("PATH", format!("{}:{path}", dir.join("bin").display()));
        hooks.env("PREK_HOME", dir.join("prek")).output().unwrap()
    };
    let good = run("good.py", "print(1)\n");
    assert!(text(&good).contains("Passed"), "{}", text(&good));
    let bad = run("bad.py", "print(\n");
    assert!(!bad.status.success());
    let said = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert!(said.contains("SyntaxError") && said.contains("bad.py"), "{said}");
}
