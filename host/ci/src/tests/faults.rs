//! Everything that is wrong with a file is said before anything runs, with its line.

use crate::bounds::Ceilings;
use crate::tests::testing::TestProject;

const HEAD: &str = "version = 1\n[tool.t]\nfile = \"t.wasm\"\n[step.a]\ntool = \"t\"\n";

/// Returns the first fault as `LINE: message (hint)`.
fn fault(text: &str) -> String {
    let mut project = TestProject::new(&[("t.wasm", "p"), ("src/main.c", ""), ("x.log", "")]);
    project.write(".gitignore", "*.log\n");
    project.options.ceilings = Ceilings([(skep_protocol::LimitName::memory_bytes, 1 << 30)].into());
    let Err(faults) = project.plan(text) else { panic!("nothing is wrong with {text}") };
    let fault = &faults[0];
    let (line, _) = fault.place(text).unwrap_or((0, 0));
    let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{line}: {}{hint}", fault.message)
}

#[test]
fn each_fault_has_its_line_and_the_nearest_word() {
    for (rest, expected) in [
        ("agrs = []", "6: unknown key `agrs` (did you mean `args`?)"),
        ("if = \"succes\"", "6: unknown word `succes` (did you mean `success`?)"),
        ("tool = \"t\"\n", "6: duplicate key"),
        ("needs = [\"b\"]\n[step.bb]\ntool = \"t\"", "6: there is no step `b` (did you mean `a`?)"),
        ("in = { \"/x\" = \"aa\" }", "6: there is no step `aa` (did you mean `a`?)"),
        ("needs = [\"a\"]", "4: the steps need each other: a -> a"),
        ("src = [\"src/mian.c\"]", "6: `src/mian.c` matches no file (did you mean `src/main.c`?)"),
        ("src = [\"*.log\"]", "6: `*.log` matches no file (add `?` at its end"),
        ("src = [\"../x\"]", "6: bad glob: a pattern is relative"),
        ("src = [\"[x\"]", "6: bad glob: unclosed character class"),
        ("args = [\"{matrix.f}\"]", "6: the matrix has no key `f`"),
        ("args = [\"{in:/obj/*}\"]", "6: `/obj/*` is below no directory of `in`"),
        ("args = [\"{file}\"]", "6: `{file}` stands for nothing here (did you mean `files`?)"),
        ("args = [\"a}\"]", "6: `}` has no partner"),
        ("timeout = \"5 parsecs\"", "6: unknown unit of time"),
        ("memory = \"2GiB\"", "6: memory_bytes = 2 GiB is above this host's maximum of 1 GiB"),
        ("limits = { memory_bytes = \"2GiB\" }", "6: memory_bytes = 2 GiB is above"),
        ("limits = { compile_cpu_ms = 1 }", "6: compile_cpu_ms belongs to the host"),
        ("limits = { memry_bytes = 1 }", "6: "),
        ("log = \"1GiB\"", "6: log is at most 256 MiB"),
        ("matrix = { a = [\"1\", \"1\"] }", "6: a value of the matrix is there twice"),
        ("matrix = { a = { glob = \"*.zig\" } }", "6: `*.zig` matches nothing"),
        ("matrix = { a = 1 }", "6: expected a list of texts"),
        ("max = 100000", "6: max is at most 10000"),
        ("out = [\"/x\"]", "6: bad glob: a pattern is relative"),
        ("out = [\"x\"]\njunit = \"y\"", "7: `y` is not among the outputs"),
        (
            "in = { \"/out/x\" = \"b\" }\n[step.b]\ntool = \"t\"",
            "6: /out is a directory of its own",
        ),
        ("in = { \"obj\" = \"b\" }\n[step.b]\ntool = \"t\"", "6: `obj` is no absolute path"),
        (
            "expect = { outcome = \"deadlin\" }",
            "6: `deadlin` is no end of a step here (did you mean",
        ),
        ("retry = { max = 100 }", "6: a step is repeated 10 times at most"),
        ("verify = 0", "6: verify is 1 to 10"),
        ("http = [\"ftp://x\"]", "6: "),
        ("http = [\"https://x.example\"]\ncache = \"on\"", "4: a step with `http` or a real clock"),
        (
            "http = [\"http://10.0.0.1 inner\"]",
            "6: `inner` reaches addresses of this machine's own",
        ),
        (
            "http = [\"https://a.example\"]\nsecrets = [\"key\"]",
            "7: this run may not use the secret `key` (allow it with --secret key)",
        ),
        ("secrets = [\"key\"]", "6: a secret is only for requests"),
        ("batch = 2", "6: batch splits `files`"),
        ("wasm = \"{a}/x\"", "4: the steps need each other"),
        ("stdin = \"gone\"", "6: there is no file `gone`"),
        ("[step.\"a b\"]\ntool = \"t\"", "6: `a b` cannot be the name of a step"),
        ("[step.b]\ntool = \"tt\"", "7: there is no tool `tt` (did you mean `t`?)"),
        ("[step.b]\nargs = []", "6: the step `b` has no program"),
        ("[step.b]\nwasm = \"x.wasm\"", "7: `wasm` is `{step}/path`"),
        ("matrix = { a = [\"1\"] }\nexclude = [{ b = \"1\" }]", "4: `exclude` has `b`"),
        (
            "[tool.x]\nfile = \"t.wasm\"\nfiles = { \"/\" = { file = \"y.tar\" } }",
            "8: a tool's files",
        ),
        ("[tool.x]", "6: there is no origin"),
        ("[tool.x]\nfile = \"../x\"", "7: `file` is a path in the project"),
        ("[tool.x]\nurl = \"http://x\"", "7: `url` begins with https://"),
        ("[tool.x]\nnpm = \"left-pad\"\nmember = \"x\"", "7: write NAME@VERSION"),
        ("[tool.x]\nnpm = \"--evil@1\"\nmember = \"x\"", "7: write NAME@VERSION"),
        ("[tool.x]\nnpm = \"a@1.0.0\"", "6: set `member`"),
        ("[tool.x]\nfile = \"t.wasm\"\nsha256 = \"AB\"", "8: sha256 is 64 lower-case"),
        ("[tool.x]\nlike = \"tt\"", "7: there is no tool `tt` (did you mean `t`?)"),
    ] {
        let found = fault(&format!("{HEAD}{rest}\n"));
        assert!(found.starts_with(expected), "{rest}\n  found    {found}\n  expected {expected}");
    }
    assert!(fault("version = 2\n").starts_with("1: version 2 is not known"));
    assert!(fault("").contains("version"));
}

#[test]
fn a_matrix_of_a_million_is_counted_and_not_made() {
    let ten = "[\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]";
    let keys: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|key| format!("{key} = {ten}")).into();
    let found = fault(&format!("{HEAD}matrix = {{ {} }}\n", keys.join(", ")));
    assert!(
        found.starts_with("6: the matrix has 1000 combinations or more; the maximum is 256"),
        "{found}"
    );
}

#[test]
fn all_steps_with_a_fault_are_reported_at_once() {
    let project = TestProject::new(&[("t.wasm", "p")]);
    let text = format!("{HEAD}src = [\"x\"]\n[step.b]\ntool = \"t\"\nsrc = [\"y\"]\n");
    assert_eq!(project.plan(&text).unwrap_err().len(), 2);
}

#[test]
fn a_tool_from_elsewhere_needs_a_pin() {
    let text = "version = 1\n[tool.p]\nnpm = \"a@1.0.0\"\nmember = \"x.wasm\"\n\
                files = { \"/usr\" = { member = \"y.tar\" } }\n[step.a]\ntool = \"p\"\n";
    let project = TestProject::new(&[]);
    let file = crate::PipelineFile::parse(text).unwrap();
    let plan = project.plan(text).unwrap();
    let faults = crate::unpinned(&plan, &file);
    let lines: Vec<_> = faults.iter().map(|fault| fault.place(text).unwrap().0).collect();
    assert_eq!(lines, [2, 5], "{faults:?}");
    let pins: Vec<_> =
        crate::pinned_files(&plan).into_iter().map(|file| (file, "0".repeat(64))).collect();
    let text = crate::with_pins(text, &pins).unwrap();
    let file = crate::PipelineFile::parse(&text).unwrap();
    assert!(crate::unpinned(&project.plan(&text).unwrap(), &file).is_empty(), "{text}");
}
