//! The script of the GitHub action in `examples/ci/action`.

use std::process::{Command, Output};

use super::Project;

fn script(project: &Project, variables: &[(&str, &str)]) -> Output {
    let mut script = Command::new(skep_harness::root().join("examples/ci/action/run.sh"));
    script.current_dir(&*project.dir);
    script.env("SKEP", skep_harness::skep()).env("SKEP_CI_CACHE", &*project.cache);
    script.env("XDG_CACHE_HOME", skep_harness::shared_cache());
    script.env("GITHUB_OUTPUT", project.dir.join("output"));
    script.env("GITHUB_STEP_SUMMARY", project.dir.join("summary"));
    script.envs(variables.iter().copied()).output().unwrap()
}

const PIPELINE: &str = "version = 1\n[tool.probe]\nfile = \"probe.wasm\"\n[step.good]\ntool = \"probe\"\n\
                        args = [\"append\", \"/out/x\", \"y\"]\nout = [\"x\"]\n[step.bad]\n\
                        tool = \"probe\"\nargs = [\"exit\", \"3\"]\n";

#[test]
fn the_action_runs_the_named_steps_and_sets_its_outputs() {
    let project = Project::new(&["probe"], PIPELINE);
    let done = script(&project, &[("SKEP_STEPS", "go*"), ("SKEP_OUT", "out"), ("SKEP_JOBS", "1")]);
    assert!(done.status.success(), "{done:?}");
    let output = String::from_utf8(project.dir.read("output")).unwrap();
    assert!(output.starts_with("run=") && output.ends_with("\noutcome=passed\n"), "{output}");
    assert!(project.dir.read("out/good/x").starts_with(b"y"));
    let summary = String::from_utf8(project.dir.read("summary")).unwrap();
    assert!(summary.contains("| good | ok |") && !summary.contains("bad"), "{summary}");
}

#[test]
fn a_failure_is_annotated_and_fails_the_action() {
    let project = Project::new(&["probe"], PIPELINE);
    let done = script(&project, &[]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let out = String::from_utf8(done.stdout).unwrap();
    assert_eq!(out, "::error title=bad::exited with 3\n");
    let output = String::from_utf8(project.dir.read("output")).unwrap();
    assert!(output.ends_with("outcome=failed\n"), "{output}");
}

#[test]
fn each_input_reaches_the_script_as_a_variable() {
    let folder = skep_harness::root().join("examples/ci/action");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (action, script) = (read("action.yml"), read("run.sh"));
    let (inputs, rest) = action.split_once("\noutputs:").unwrap();
    let (_, inputs) = inputs.split_once("\ninputs:").unwrap();
    let names = inputs.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<_> = names.map(|line| line.trim().trim_end_matches(':')).collect();
    assert!(names.contains(&"steps") && names.len() > 5, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "cache") {
        let given = rest.lines().find(|line| line.ends_with(&format!("${{{{ inputs.{name} }}}}")));
        let (variable, _) =
            given.unwrap_or_else(|| panic!("{name}")).trim().split_once(':').unwrap();
        assert!(script.contains(&format!("${{{variable}:-")), "{variable}");
    }
    // In the commands themselves, GitHub would paste the text of an input.
    assert!(rest.lines().filter(|line| line.contains("run:")).all(|line| !line.contains("${{")));
}

#[test]
fn an_input_is_never_a_command() {
    let project = Project::new(&["probe"], PIPELINE);
    let done = script(&project, &[("SKEP_STEPS", "$(touch${IFS}hacked) `touch hacked`;touch")]);
    assert_eq!(done.status.code(), Some(125), "{done:?}");
    assert!(!project.dir.join("hacked").exists());
}
