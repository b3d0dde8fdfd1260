//! The graph of a plan as text, Graphviz, Mermaid or JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::{Plan, PlannedProgram};

/// The format of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphFormat {
    /// One line a step.
    Text,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
    /// JSON.
    Json,
}

/// One step of a graph.
#[derive(Debug, Serialize)]
struct GraphStep<'a> {
    id: &'a str,
    name: &'a str,
    matrix: &'a BTreeMap<String, String>,
    tool: String,
    needs: Vec<&'a str>,
}

/// Formats the graph of a plan.
pub fn graph(plan: &Plan, format: GraphFormat) -> String {
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| GraphStep {
            id: &step.id,
            name: &step.name,
            matrix: &step.matrix,
            tool: match &step.program {
                PlannedProgram::Tool(name) => name.clone(),
                PlannedProgram::Made(file) => format!("{{{}}}/{}", file.step, file.path),
            },
            needs: step.needs.iter().map(|&need| plan.steps[need].id.as_str()).collect(),
        })
        .collect();
    match format {
        GraphFormat::Text => text(&steps),
        GraphFormat::Dot => dot(&steps),
        GraphFormat::Mermaid => mermaid(&steps),
        GraphFormat::Json => serde_json::to_string(&steps).unwrap_or_default() + "\n",
    }
}

fn text(steps: &[GraphStep<'_>]) -> String {
    let line = |step: &GraphStep<'_>| match step.needs.as_slice() {
        [] => format!("{}  {}\n", step.id, step.tool),
        needs => format!("{}  {}  after {}\n", step.id, step.tool, needs.join(", ")),
    };
    steps.iter().map(line).collect()
}

fn dot(steps: &[GraphStep<'_>]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = String::from("digraph pipeline {\n  rankdir=LR;\n  node [shape=box];\n");
    for step in steps {
        out += &format!("  {};\n", quoted(step.id));
        for need in &step.needs {
            out += &format!("  {} -> {};\n", quoted(need), quoted(step.id));
        }
    }
    out + "}\n"
}

fn mermaid(steps: &[GraphStep<'_>]) -> String {
    let index: BTreeMap<_, _> = steps.iter().zip(0..).map(|(step, at)| (step.id, at)).collect();
    let mut out = String::from("flowchart LR\n");
    for (at, step) in steps.iter().enumerate() {
        let label = step.id.replace('"', "#quot;").replace('<', "#lt;");
        out += &format!("  s{at}[\"{label}\"]\n");
        for need in &step.needs {
            out += &format!("  s{} --> s{at}\n", index[need]);
        }
    }
    out
}
