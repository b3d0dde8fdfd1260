//! Requests and secrets of steps: a pipeline asks for them, and its operator's flags allow them.

use skep_harness::Server;

use super::Project;

const VALUE: &str = "MARKER/hunter2+MARKER-0123456789";

/// Makes a project whose step sends a secret to a server, and the operator's settings beside it.
fn project(server: &Server) -> (Project, String) {
    let project = Project::new(
        &["requester"],
        &format!(
            "version = 1\n[tool.requester]\nfile = \"requester.wasm\"\n[step.ask]\ntool = \"requester\"\n\
             args = [\"{}\", \"/echo\", \"SKEP_SECRET_TOKEN\"]\nhttp = [\"{} inner\"]\n\
             secrets = [\"token\"]\nclock = \"real\"\n",
            server.address(),
            server.url("")
        ),
    );
    project.write("own/value", VALUE);
    let settings =
        format!("[secrets.token]\nfile = \"value\"\nhosts = [\"{} inner\"]\n", server.url(""));
    project.write("own/settings.toml", settings);
    let settings = project.dir.join("own/settings.toml").display().to_string();
    (project, settings)
}

#[test]
fn a_step_sends_a_secret_that_it_never_sees() {
    let server = Server::start();
    let (project, settings) = project(&server);
    let flags = ["--allow-inner", "--secret", "token", "--settings", &settings];
    let (result, ran) = project.run(&flags);
    ran.expect(0);
    let log = project.ci(&["logs", "last", "ask"]).go().expect(0).text();
    assert!(log.contains("status 200") && log.contains("value skep-secret-"), "{log}");
    assert!(!log.contains("MARKER") && !result.0.to_string().contains("MARKER"), "{log}");
    assert!(server.heads()[0].contains(VALUE), "{:?}", server.heads());
    // What a step asks of others is not a function of its key.
    let (again, _) = project.run(&flags);
    assert_eq!(again.ran(), ["ask"]);
}

#[test]
fn a_pipeline_gets_no_secret_no_inner_address_and_no_file_without_a_flag() {
    let server = Server::start();
    let (project, settings) = project(&server);
    let refused = |flags: &[&str]| project.ci(&["run"]).args(flags).go().expect(2);
    refused(&["--secret", "token"]).says("allow it with --allow-inner");
    refused(&["--allow-inner"]).says("this run may not use the secret `token`");
    // Settings beside the pipeline may be a stranger's.
    let own = std::fs::read(&settings).unwrap();
    project.write("skep.toml", own);
    let ran = project.ci(&["run", "--allow-inner", "--secret", "token"]);
    let ran = ran.env("XDG_CONFIG_HOME", &*project.cache).go().expect(125);
    ran.says("the settings have no secret `token`");
    let wasm = project.dir.join("requester.wasm").display().to_string();
    project.pipeline(&format!(
        "version = 1\n[tool.a]\nfile = \"{wasm}\"\n[step.a]\ntool = \"a\"\nargs = [\"a.example\", \"/b\", \"c\"]\n"
    ));
    project.ci(&["run"]).go().expect(125).says("allow it with --allow-absolute");
    let ran = project.ci(&["run", "--allow-absolute"]).go().expect(0);
    drop(ran);
    assert!(server.heads().is_empty());
}
