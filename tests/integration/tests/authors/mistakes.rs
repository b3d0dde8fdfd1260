//! What an author is told about a deliberate mistake, as golden texts: the file and line or the flag,
//! in the terms of the language, without a word of the host's own code.

use std::fmt::Write as _;
use std::path::Path;

use skep_harness::test_dir;
use skep_protocol::{EntryKind, LimitName};

use crate::artefact::{Artefact, bundle, command, rust_command, succeed, unpack};
use crate::worker::{Guest, Worker};

/// A mistake: its name, and the source of the entry.
type Mistake = (&'static str, &'static str);

/// Words that show an author the insides of the host or of a tool.
const INSIDES: &[&str] =
    &["panicked at", "stack backtrace", "RUST_BACKTRACE", "/root/", "/tmp/", "node:internal"];

#[track_caller]
fn check(language: &str, told: &str) {
    for word in INSIDES {
        assert!(!told.contains(word), "{language}: {word:?} is in: {told}");
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("snapshots");
    settings.bind(|| insta::assert_snapshot!(format!("mistakes-{language}"), told));
}

/// Builds a project for each mistake, and returns what was said.
fn build_each(language: &str, mistakes: &[Mistake]) -> String {
    let mut told = String::new();
    let dir = test_dir();
    let project = dir.join("tally");
    succeed(command().arg("new").arg(&project).args(["--lang", language]));
    for (name, source) in mistakes {
        std::fs::write(project.join(entry(language)), source).unwrap();
        let ran = command().args(["build", "--project"]).arg(&project).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!ran.status.success(), "{language}: {name} was built: {said}");
        let said = clean(&said, &project);
        writeln!(told, "== {name}\n{}\n", said.trim_end()).unwrap();
    }
    told
}

fn entry(language: &str) -> &'static str {
    match language {
        "js" => "src/worker.js",
        "python" => "src/worker.py",
        _ => "src/worker.c",
    }
}

/// Takes away what differs from one machine or run to the next.
fn clean(said: &str, project: &Path) -> String {
    said.replace(&format!("{}/", project.display()), "").replace(&*project.to_string_lossy(), ".")
}

/// Runs a turn for each mistake by the runner, and returns what came of it.
async fn run_each(language: &'static str, mistakes: &[Mistake]) -> String {
    let mut told = String::new();
    let built = Artefact::of_runner(language).built();
    let dir = test_dir();
    let project = dir.join("tally");
    succeed(command().arg("new").arg(&project).args(["--lang", language]));
    unpack(&project, language);
    for (name, source) in mistakes {
        std::fs::write(project.join(entry(language)), source).unwrap();
        let app = dir.join("app");
        std::fs::create_dir_all(&app).unwrap();
        succeed(&mut bundle(&project, language, &app));
        let guest = Guest { component: built.component.clone(), app: Some(app) };
        writeln!(told, "== {name}\n{}\n", turn(guest, "go").await).unwrap();
    }
    told
}

async fn turn(guest: Guest, body: &str) -> String {
    let limits = [(LimitName::turn_deadline_ms, 5_000), (LimitName::memory_bytes, 96 << 20)];
    let worker = Worker::of(guest, &limits).await;
    let outcome = worker.ask(body).await;
    let mut said = outcome.ending.as_str().to_owned();
    if let Some(error) = outcome.error {
        write!(said, ": {} ({})", error.message, error.code).unwrap();
        for frame in error.frames {
            write!(said, "\n  at {frame}").unwrap();
        }
        for line in error.stderr {
            write!(said, "\n  stderr: {line}").unwrap();
        }
    }
    for entry in worker.entries().await {
        if entry.kind == EntryKind::Denied {
            write!(said, "\ndenied {}", entry.label.unwrap_or_default()).unwrap();
        }
    }
    worker.end().await;
    said
}

const JS_BUILD: &[Mistake] = &[
    ("syntax error", "export default {\n  handle(input) {\n    return 1 +;\n  },\n};\n"),
    ("missing module", "import { z } from \"zod\";\nexport default { handle() { return z; } };\n"),
    (
        "a module of node",
        "import fs from \"node:fs\";\nexport default { handle() { return fs; } };\n",
    ),
    (
        "a missing file",
        "import { a } from \"./helper.js\";\nexport default { handle() { return a; } };\n",
    ),
    ("no default export", "export function handle() { return 1; }\n"),
    ("a default export without handle", "export default { handel() { return 1; } };\n"),
    ("a handle that is no function", "export default { handle: 5 };\n"),
    (
        "throws while it is loaded",
        "const a = undefined;\na.b;\nexport default { handle() { return 1; } };\n",
    ),
    (
        "state while it is loaded",
        "import { state } from \"@skep/guest\";\nstate.get(\"a\");\nexport default { handle() { return 1; } };\n",
    ),
    (
        "an import that the SDK lacks",
        "import { status } from \"@skep/guest\";\nexport default { handle() { return status; } };\n",
    ),
    (
        "an interface of another version",
        "import * as s from \"skep:worker/state@0.9.0\";\nexport default { handle() { return s.get(\"a\"); } };\n",
    ),
    (
        "a top-level await of a timer",
        "await new Promise((r) => setTimeout(r, 10));\nexport default { handle() { return 1; } };\n",
    ),
];

const JS_RUN: &[Mistake] = &[
    (
        "throws",
        "export default {\n  async handle() {\n    inner();\n  },\n};\nfunction inner() {\n  throw new TypeError(\"boom\");\n}\n",
    ),
    ("returns nothing", "export default { handle() {} };\n"),
    ("returns what is no JSON", "export default { handle() { return { a: 1n }; } };\n"),
    ("an undefined name", "export default {\n  handle() {\n    return undefinedName;\n  },\n};\n"),
    (
        "recursion without end",
        "function f(n) {\n  return f(n + 1) + 1;\n}\nexport default { handle() { return f(0); } };\n",
    ),
    ("a loop without end", "export default { handle() { for (;;); } };\n"),
    (
        "more memory than allowed",
        "export default {\n  handle() {\n    const all = [];\n    for (;;) all.push(new Uint8Array(1 << 20).fill(1));\n  },\n};\n",
    ),
    (
        "a promise that never settles",
        "export default { async handle() { await new Promise(() => {}); } };\n",
    ),
    (
        "a missing file of /data",
        "import { data } from \"@skep/guest\";\nexport default {\n  handle() {\n    return data.readText(\"none.txt\");\n  },\n};\n",
    ),
    (
        "fetch without a grant",
        "export default {\n  async handle() {\n    await fetch(\"https://example.com/\");\n  },\n};\n",
    ),
    (
        "an answer that is too large",
        "export default { handle() { return \"x\".repeat(5 << 20); } };\n",
    ),
    (
        "JSON that is none",
        "export default {\n  handle(input) {\n    return input.json();\n  },\n};\n",
    ),
    (
        "an invalid key",
        "import { state } from \"@skep/guest\";\nexport default { handle() { state.set(\"\", \"x\"); return 1; } };\n",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_javascript_are_told_in_its_terms() {
    let told = build_each("js", JS_BUILD) + &run_each("js", JS_RUN).await;
    check("js", &told);
}

const PYTHON_BUILD: &[Mistake] = &[
    (
        "syntax error",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n    return 1 +\n",
    ),
    (
        "missing module",
        "import requests\nfrom skep_guest import worker\n\n@worker\ndef handle(input):\n    return \"\"\n",
    ),
    ("no function is marked", "def handle(input):\n    return \"\"\n"),
    (
        "two functions are marked",
        "from skep_guest import worker\n\n@worker\ndef a(input):\n    return \"\"\n\n@worker\ndef b(input):\n    return \"\"\n",
    ),
    (
        "a handler without a parameter",
        "from skep_guest import worker\n\n@worker\ndef handle():\n    return \"\"\n",
    ),
    ("a name that the SDK lacks", "from skep_guest import wroker\n"),
    (
        "a wrong indentation",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n  a = 1\n   return a\n",
    ),
    (
        "a module of sockets",
        "import ssl\nfrom skep_guest import worker\n\n@worker\ndef handle(input):\n    return \"\"\n",
    ),
];

const PYTHON_RUN: &[Mistake] = &[
    (
        "raises",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n    return inner()\n\ndef inner():\n    raise ValueError(\"boom\")\n",
    ),
    ("returns nothing", "from skep_guest import worker\n\n@worker\ndef handle(input):\n    pass\n"),
    (
        "returns what is no JSON",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n    return {1, 2}\n",
    ),
    (
        "an undefined name",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n    return undefined_name\n",
    ),
    (
        "recursion without end",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n    return handle(input)\n",
    ),
    (
        "a loop without end",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n    while True:\n        pass\n",
    ),
    (
        "more memory than allowed",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n    return [bytearray(1 << 20) for _ in range(1000)] and \"\"\n",
    ),
    (
        "a coroutine that waits for ever",
        "import asyncio\nfrom skep_guest import worker\n\n@worker\nasync def handle(input):\n    await asyncio.Event().wait()\n",
    ),
    (
        "a missing file of /data",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n    return open(\"/data/none.txt\").read()\n",
    ),
    (
        "a request without a grant",
        "from skep_guest import http, worker\n\n@worker\ndef handle(input):\n    return http.get(\"https://example.com/\").text()\n",
    ),
    (
        "an answer that is too large",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n    return \"x\" * (5 << 20)\n",
    ),
    (
        "JSON that is none",
        "from skep_guest import worker\n\n@worker\ndef handle(input):\n    return input.json()\n",
    ),
    (
        "an invalid key",
        "from skep_guest import state, worker\n\n@worker\ndef handle(input):\n    state.set(\"\", \"x\")\n    return \"\"\n",
    ),
    (
        "raises while it is imported",
        "from skep_guest import worker\n\nA = 1 / 0\n\n@worker\ndef handle(input):\n    return \"\"\n",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_python_are_told_in_its_terms() {
    let told = build_each("python", PYTHON_BUILD) + &run_each("python", PYTHON_RUN).await;
    check("python", &told);
}

const C_HEAD: &str = "#include \"skep_guest.h\"\n#include <stdlib.h>\n#include <string.h>\n\n";

const C_BUILD: &[Mistake] = &[
    (
        "syntax error",
        "#include \"skep_guest.h\"\n\nskep_error skep_handle(const skep_input *input, skep_output *output)\n{\n    return skep_reply(output, \"x\")\n}\n",
    ),
    ("no handler", "#include \"skep_guest.h\"\n\nint other(void) { return 1; }\n"),
    (
        "another signature",
        "#include \"skep_guest.h\"\n\nint skep_handle(const char *input) { return input != 0; }\n",
    ),
    (
        "an undeclared function",
        "#include \"skep_guest.h\"\n\nskep_error skep_handle(const skep_input *input, skep_output *output)\n{\n    return skep_answer(output);\n}\n",
    ),
    ("a missing header", "#include \"skep_guest.h\"\n#include \"helper.h\"\n"),
    (
        "a function that is defined nowhere",
        "#include \"skep_guest.h\"\n\nint elsewhere(void);\n\nskep_error skep_handle(const skep_input *input, skep_output *output)\n{\n    return skep_reply(output, \"%d\", elsewhere());\n}\n",
    ),
    (
        "a header of sockets",
        "#include \"skep_guest.h\"\n#include <sys/socket.h>\n\nskep_error skep_handle(const skep_input *input, skep_output *output)\n{\n    return skep_reply(output, \"%d\", socket(1, 1, 0));\n}\n",
    ),
    (
        "an import that Skep does not offer",
        "#include \"skep_guest.h\"\n\n__attribute__((import_module(\"env\"), import_name(\"magic\"))) int magic(void);\n\nskep_error skep_handle(const skep_input *input, skep_output *output)\n{\n    return skep_reply(output, \"%d\", magic());\n}\n",
    ),
];

/// Bodies of a handler.
const C_RUN: &[Mistake] = &[
    ("abort", "    abort();\n"),
    ("a failure of its own", "    return skep_fail(\"bad-request\", \"no such thing\");\n"),
    ("a wild pointer", "    return skep_reply(output, \"%d\", *(volatile int *)0xfffffff0);\n"),
    ("a loop without end", "    for (volatile int i = 0;; i++) { }\n"),
    (
        "more memory than allowed",
        "    for (;;) { volatile char *p = malloc(1 << 20); if (!p) abort(); p[0] = 1; }\n",
    ),
    (
        "an answer that is too large",
        "    char *p = malloc(5 << 20); memset(p, 'x', 5 << 20); return skep_reply_bytes(output, \"text/plain\", (skep_slice){(const uint8_t *)p, 5 << 20});\n",
    ),
    (
        "an invalid key",
        "    SKEP_TRY(skep_state_set_text(\"\", \"x\")); return skep_reply(output, \"ok\");\n",
    ),
    (
        "a division by zero",
        "    volatile int zero = 0; return skep_reply(output, \"%d\", 7 / zero);\n",
    ),
    (
        "an event's name that is none",
        "    SKEP_TRY(skep_emit_text(\"Not Valid\", \"x\")); return skep_reply(output, \"ok\");\n",
    ),
    (
        "a text that is none",
        "    SKEP_TRY(skep_state_set_text(\"\\xff\", \"x\")); return skep_reply(output, \"ok\");\n",
    ),
    ("exit", "    exit(3);\n"),
    (
        "a recursion without end",
        "    volatile char big[4096]; big[0] = 1; SKEP_TRY(skep_handle(input, output)); return skep_reply(output, \"%d\", big[0]);\n",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_c_are_told_in_its_terms() {
    let mut told = build_each("c", C_BUILD);
    let dir = test_dir();
    let project = dir.join("tally");
    succeed(command().arg("new").arg(&project).args(["--lang", "c"]));
    for (name, body) in C_RUN {
        let handler = "skep_error skep_handle(const skep_input *input, skep_output *output)\n{\n";
        let source = format!("{C_HEAD}{handler}{body}}}\n");
        std::fs::write(project.join("src/worker.c"), source).unwrap();
        succeed(command().args(["build", "--project"]).arg(&project));
        let guest = Guest { component: project.join("build/tally.wasm"), app: None };
        writeln!(told, "== {name}\n{}\n", turn(guest, "go").await).unwrap();
    }
    check("c", &told);
}

const RUST_HEAD: &str = "use skep_guest::{Failure, Input, Output, Worker};\n\nstruct W;\n";

/// Sources that do not build, and the place that rustc names.
const RUST_BUILD: &[(&str, &str, &str)] = &[
    (
        "syntax error",
        "impl Worker for W {\n    fn handle(input: Input) -> Result<Output, Failure> {\n        Ok(Output::text(\"x\")\n    }\n}\nskep_guest::worker!(W);\n",
        "src/lib.rs:",
    ),
    (
        "another signature",
        "impl Worker for W {\n    fn handle(input: &str) -> Result<Output, Failure> {\n        Ok(Output::text(input))\n    }\n}\nskep_guest::worker!(W);\n",
        "src/lib.rs:5:",
    ),
    ("a type without the trait", "skep_guest::worker!(W);\n", "src/lib.rs:4:"),
    (
        "a name that the SDK lacks",
        "impl Worker for W {\n    fn handle(_: Input) -> Result<Output, Failure> {\n        skep_guest::status::set(1);\n        Ok(Output::text(\"\"))\n    }\n}\nskep_guest::worker!(W);\n",
        "src/lib.rs:6:",
    ),
    (
        "a missing crate",
        "impl Worker for W {\n    fn handle(_: Input) -> Result<Output, Failure> {\n        Ok(Output::text(serde_json::to_string(&1).unwrap()))\n    }\n}\nskep_guest::worker!(W);\n",
        "src/lib.rs:6:",
    ),
    (
        "a wrong type",
        "impl Worker for W {\n    fn handle(_: Input) -> Result<Output, Failure> {\n        Ok(\"text\")\n    }\n}\nskep_guest::worker!(W);\n",
        "src/lib.rs:6:",
    ),
    (
        "no worker is exported",
        "impl Worker for W {\n    fn handle(_: Input) -> Result<Output, Failure> {\n        Ok(Output::text(\"\"))\n    }\n}\n",
        "exports nothing that Skep can call",
    ),
];

/// Verbs of one worker, each a mistake at run time.
const RUST_RUN: &[(&str, &str)] = &[
    ("panic", "panic!(\"boom\")"),
    ("unwrap", "Ok(Output::text(None::<String>.unwrap()))"),
    ("index", "{ let list = vec![1]; Ok(Output::text(list[input.body.len()].to_string())) }"),
    ("failure", "Err(Failure::new(\"bad-request\", \"no such thing\"))"),
    ("loop", "loop { std::hint::black_box(()); }"),
    (
        "memory",
        "{ let mut all = Vec::new(); loop { all.push(vec![1_u8; 1 << 20]); std::hint::black_box(&all); } }",
    ),
    ("recursion", "Ok(Output::text(deep(0).to_string()))"),
    ("exit", "skep_guest::exit(3)"),
    ("missing-file", "Ok(Output::text(std::fs::read_to_string(\"/data/none.txt\")?))"),
    ("outside", "Ok(Output::text(std::fs::read_to_string(\"/etc/passwd\")?))"),
    ("invalid-key", "{ skep_guest::state::set(\"\", \"x\")?; Ok(Output::text(\"\")) }"),
    ("large-answer", "Ok(Output::text(\"x\".repeat(5 << 20)))"),
    (
        "event-kind",
        "{ skep_guest::transcript::emit_text(\"Not Valid\", \"x\")?; Ok(Output::text(\"\")) }",
    ),
    (
        "socket",
        "Ok(Output::text(format!(\"{}\", std::net::TcpStream::connect(\"127.0.0.1:1\").unwrap_err())))",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_rust_are_told_in_its_terms() {
    let dir = test_dir();
    let project = dir.join("mistaken");
    succeed(command().arg("new").arg(&project).args(["--lang", "rust"]));
    for (name, source, place) in RUST_BUILD {
        std::fs::write(project.join("src/lib.rs"), format!("{RUST_HEAD}{source}")).unwrap();
        let ran = rust_command().args(["build", "--project"]).arg(&project).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!ran.status.success() && said.contains(place), "{name}: {place}: {said}");
        assert!(!said.contains("panicked at"), "{name}: {said}");
    }
    let arms: String = RUST_RUN
        .iter()
        .map(|(verb, code)| format!("            \"{verb}\" => {code},\n"))
        .collect();
    let source = format!(
        "{RUST_HEAD}\nimpl Worker for W {{\n    fn handle(input: Input) -> Result<Output, Failure> \
         {{\n        match input.text()? {{\n{arms}            _ => Ok(Output::text(\"\")),\n        \
         }}\n    }}\n}}\n\n#[inline(never)]\nfn deep(n: u64) -> u64 {{\n    let big = \
         std::hint::black_box([n; 64]);\n    if n == u64::MAX {{ 0 }} else {{ deep(n + 1) + big[1] \
         }}\n}}\n\nskep_guest::worker!(W);\n"
    );
    std::fs::write(project.join("src/lib.rs"), source).unwrap();
    succeed(rust_command().args(["build", "--project"]).arg(&project));
    let component = project.join("build/mistaken.wasm");
    let mut told = String::new();
    for (verb, _) in RUST_RUN {
        let guest = Guest { component: component.clone(), app: None };
        let said = turn(guest, verb).await;
        if ["panic", "unwrap", "index"].contains(verb) {
            assert!(said.contains("src/lib.rs:"), "{verb}: {said}");
        }
        // Frames and their lines differ with the compiler.
        let first = said.lines().next().unwrap();
        writeln!(told, "== {verb}\n{first}\n").unwrap();
    }
    check("rust", &told);
}
