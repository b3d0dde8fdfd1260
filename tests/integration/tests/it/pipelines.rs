//! `skep ci`: pipelines of real guests, through the built program.

mod action;
mod commands;
mod examples;
mod hostile;
mod reading;
mod remote;
mod requests;
mod runs;

use std::path::Path;

use serde_json::Value;
use skep_harness::{Ran, Run, TestDir, guest, test_dir};

/// A project with a cache of its own.
struct Project {
    dir: TestDir,
    cache: TestDir,
}

impl Project {
    /// Makes a project with guests and a pipeline.
    fn new(guests: &[&str], pipeline: &str) -> Self {
        let project = Self { dir: test_dir(), cache: test_dir() };
        for name in guests {
            let file = name.rsplit('/').next().unwrap();
            std::fs::copy(guest(name), project.dir.join(format!("{file}.wasm"))).unwrap();
        }
        project.pipeline(pipeline);
        project
    }

    /// Copies a folder of the tree.
    fn copy(folder: &Path) -> Self {
        let project = Self { dir: test_dir(), cache: test_dir() };
        let from = folder.join(".");
        let copied =
            std::process::Command::new("cp").arg("-r").args([&from, &*project.dir]).status();
        assert!(copied.unwrap().success());
        project
    }

    fn pipeline(&self, text: &str) {
        self.dir.file("skep-ci.toml", text);
    }

    /// Writes a file, and the folders that it needs.
    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn ci(&self, arguments: &[&str]) -> Run {
        Run::ci(&self.dir, &self.cache).args(arguments)
    }

    /// Runs the pipeline and returns its result.
    fn run(&self, arguments: &[&str]) -> (PipelineResult, Ran) {
        let (report, ran) = self.ci(&["run", "--output", "json"]).args(arguments).report();
        (PipelineResult(report), ran)
    }
}

/// A `run.json`.
struct PipelineResult(Value);

impl PipelineResult {
    fn steps(&self) -> &[Value] {
        self.0["steps"].as_array().unwrap_or_else(|| panic!("{}", self.0))
    }

    #[track_caller]
    fn step(&self, id: &str) -> &Value {
        let found = self.steps().iter().find(|step| step["id"] == id);
        found.unwrap_or_else(|| panic!("{id} is not in {}", self.0))
    }

    /// Lists the ids of the steps that ran.
    fn ran(&self) -> Vec<&str> {
        let ran =
            self.steps().iter().filter(|step| step["cached"].is_null() && step["attempts"] != 0);
        let mut ran: Vec<_> = ran.map(|step| step["id"].as_str().unwrap()).collect();
        ran.sort_unstable();
        ran
    }

    fn outcome(&self, id: &str) -> &str {
        self.step(id)["outcome"].as_str().unwrap()
    }

    fn message(&self, id: &str) -> &str {
        self.step(id)["message"].as_str().unwrap_or_default()
    }

    /// Returns the digest of one output.
    fn output(&self, id: &str, path: &str) -> &str {
        let files = self.step(id)["out"]["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == path);
        file.unwrap_or_else(|| panic!("{id} has no {path}"))["digest"].as_str().unwrap()
    }
}
