//! The other subcommands of `skep ci`.

use std::process::Command;

use serde_json::Value;

use super::Project;

const PIPELINE: &str = r#"
version = 1
[tool.probe]
file = "probe.wasm"
[step.write]
tool = "probe"
src = ["a.txt"]
args = ["append", "/out/x", "one"]
out = ["x"]
[step.list]
tool = "probe"
in = { "/in" = "write" }
args = ["ls", "/in"]
[step.args]
tool = "probe"
files = ["*.txt"]
args = ["args", "{files}"]
"#;

fn project() -> Project {
    let project = Project::new(&["probe"], PIPELINE);
    project.write("a.txt", "a");
    project.write("b.txt", "b");
    project
}

#[test]
fn explain_says_what_changed_and_dry_what_would_run() {
    let project = project();
    let ran = project.ci(&["explain", "write"]).go().expect(0);
    assert_eq!(ran.text(), "write: will run\n  it is new: no run had this step\n");
    project.run(&[]);
    project
        .ci(&["explain", "write"])
        .go()
        .expect(0)
        .prints("write: in the cache\n  nothing changed since run");
    project.write("a.txt", "changed");
    let ran = project.ci(&["explain", "write"]).go().expect(0);
    ran.prints("write: will run\n  since run ").prints("  - /a.txt changed (");
    let ran = project.ci(&["run", "--dry"]).go().expect(0);
    let states: Vec<_> = ran.stdout.split(|byte| *byte == b'\n').collect();
    assert!(states[0].starts_with(b"miss ") && states[0].ends_with(b" write"), "{}", ran.text());
    assert!(ran.text().contains("unknown  -            list"), "{}", ran.text());
    project.ci(&["explain", "wirte"]).go().expect(125).says("did you mean `write`?");
}

#[test]
fn the_graph_has_four_formats() {
    let project = project();
    let graph = |format: &str| project.ci(&["graph", "--format", format]).go().expect(0).text();
    assert_eq!(graph("text"), "write  probe\nlist  probe  after write\nargs  probe\n");
    assert!(graph("dot").contains("\"write\" -> \"list\";"));
    assert!(graph("mermaid").contains("s0 --> s1"));
    let json: Value = serde_json::from_str(&graph("json")).unwrap();
    assert_eq!(json[1]["needs"][0], "write");
}

#[test]
fn logs_are_records_that_can_be_continued() {
    let project = project();
    let (first, _) = project.run(&[]);
    let text = project.ci(&["logs", "last", "args"]).go().expect(0).text();
    assert!(text.contains("/a.txt") && text.contains("/b.txt"), "{text}");
    let records = |after: &str| -> Vec<Value> {
        let ran = project.ci(&["logs", "last", "args", "--output", "json", "--after", after]).go();
        ran.expect(0).text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = records("0");
    assert!((1..).zip(&all).all(|(seq, record)| record["seq"] == seq), "{all:?}");
    assert_eq!(records("1"), all[1..]);
    // A step from the cache has the output of the run that it came from.
    project.run(&[]);
    let again = project.ci(&["logs", "last", "args"]).go().expect(0).text();
    assert_eq!(again, text);
    assert_eq!(records("1").len(), all.len() - 1);
    let run = first.0["run_id"].as_str().unwrap();
    assert_eq!(project.ci(&["logs", run, "args"]).go().expect(0).text(), text);
    project.ci(&["logs", "last", "arg"]).go().expect(125).says("did you mean `args`?");
}

#[test]
fn a_hook_gets_the_files_that_its_step_selects() {
    let project = project();
    project.ci(&["hook", "args", "b.txt", "skep-ci.toml"]).go().expect(0);
    let text = project.ci(&["logs", "last", "args"]).go().expect(0).text();
    assert!(text.contains("/b.txt") && !text.contains("/a.txt"), "{text}");
    // No file of the step, so there is nothing to do.
    project.ci(&["hook", "args", "skep-ci.toml"]).go().expect(0);
    // What looks like a flag is a file.
    project.ci(&["hook", "args", "--apply"]).go().expect(0);
    project.ci(&["hook", "agrs", "a.txt"]).go().expect(125).says("did you mean `args`?");
}

#[test]
fn garbage_is_collected_and_what_is_kept_still_hits() {
    let project = project();
    project.run(&[]);
    for round in 0..25 {
        project.write("a.txt", format!("version {round}"));
        project.run(&["write"]);
    }
    let gc = |arguments: &[&str]| -> Value {
        let ran = project.ci(&["gc", "--output", "json"]).args(arguments).go().expect(0);
        serde_json::from_slice(&ran.stdout).unwrap()
    };
    let kept = gc(&[]);
    assert_eq!((&kept["results"], &kept["runs"]), (&Value::from(0), &Value::from(0)));
    assert!(project.run(&["write"]).0.ran().is_empty());
    let small = gc(&["--older", "1ms"]);
    assert!(small["results"].as_u64().unwrap() > 20, "{small}");
    assert!(small["runs"].as_u64().unwrap() > 0, "{small}");
    assert_eq!(project.run(&["write"]).0.ran(), ["write"]);
    let text = project.ci(&["logs", "last", "write"]).go().expect(0).text();
    assert!(text.contains("ok"), "{text}");
}

#[test]
fn provenance_names_outputs_and_verifies_with_the_public_key() {
    let project = project();
    let (result, _) = project.run(&[]);
    let statement = project.ci(&["provenance", "last"]).go().expect(0);
    let statement: Value = serde_json::from_slice(&statement.stdout).unwrap();
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let subject = &statement["subject"][0];
    let digest = result.output("write", "x").strip_prefix("sha256:").unwrap();
    assert_eq!(
        (&subject["name"], &subject["digest"]["sha256"]),
        (&"write/x".into(), &digest.into())
    );
    let openssl = |arguments: &[&str]| {
        let done =
            Command::new("openssl").args(arguments).current_dir(&*project.dir).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        done.stdout
    };
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", "key.pem"]);
    openssl(&["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
    let envelope = project.ci(&["provenance", "last", "--key", "key.pem"]).go().expect(0);
    let envelope: Value = serde_json::from_slice(&envelope.stdout).unwrap();
    let decode = |text: &Value| {
        project.dir.file("text", text.as_str().unwrap());
        openssl(&["base64", "-d", "-A", "-in", "text"])
    };
    let payload = decode(&envelope["payload"]);
    let kind = envelope["payloadType"].as_str().unwrap();
    let signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    project.dir.file("signed", [signed.as_bytes(), &payload].concat());
    project.dir.file("signature", decode(&envelope["signatures"][0]["sig"]));
    let verify = ["pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin"];
    openssl(&[&verify[..], &["-in", "signed", "-sigfile", "signature"]].concat());
    project.ci(&["provenance", "last", "--key", "a.txt"]).go().expect(125).says("openssl genpkey");
}

#[test]
fn reports_summaries_and_outputs_are_written() {
    let project = project();
    let flags = ["run", "--junit", "junit.xml", "--summary", "summary.md", "--out", "outputs"];
    project.ci(&flags).go().expect(0);
    let junit = String::from_utf8(project.dir.read("junit.xml")).unwrap();
    assert!(junit.contains("<testcase name=\"write\""), "{junit}");
    let summary = String::from_utf8(project.dir.read("summary.md")).unwrap();
    assert!(summary.contains("| list | ok |"), "{summary}");
    assert!(project.dir.read("outputs/write/x").starts_with(b"one"));
}

#[test]
fn a_base_skips_what_did_not_change() {
    let project = project();
    project.pipeline(&format!("{PIPELINE}paths = [\"b.txt\"]\n"));
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@a", "-c", "commit.gpgsign=false"]);
        let done = git.args(arguments).current_dir(&*project.dir).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "first"]);
    project.write("a.txt", "changed");
    let (result, ran) = project.run(&["--base", "HEAD"]);
    ran.expect(0);
    assert_eq!(result.outcome("args"), "skipped");
    project.write("b.txt", "changed");
    let (result, _) = project.run(&["--base", "HEAD"]);
    assert_eq!(result.outcome("args"), "exited");
    project.ci(&["run", "--base", "--output=x"]).go().expect(125);
}

#[test]
fn the_schema_describes_the_file() {
    let project = project();
    let schema = Command::new(skep_harness::skep()).args(["schema", "ci"]).output().unwrap();
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert_eq!(schema["title"], "skep-ci.toml");
    assert!(schema["properties"]["step"].is_object());
    let text = schema.to_string();
    for key in ["src_mode", "expect", "batch", "verify", "like"] {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
    drop(project);
}
