//! A project of 20 files in C: compiled, linked and run twice, by clang in the sandbox.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use xtask::packages::{self, Package};

use super::Bench;
use crate::Failure;
use crate::table::Row;

const FILES: usize = 20;
const PAIRS: usize = 3;

/// Actions: compiling each file, linking, and two runs.
const ACTIONS: u32 = FILES as u32 + 3;

const CLANG: Package = Package {
    name: "@yowasp/clang",
    version: "22.0.0-git20542-10",
    file: "gen/llvm.core.wasm",
    sha256: "24fbed474c7b5b4968fd73fc4827440b93fb351c1b6264516130300eff3e7bf5",
};

const RESOURCES: Package = Package {
    file: "gen/llvm-resources.tar",
    sha256: "79eef0c336fe55cf03ff8f5b42b784c8168f929a3603138b2c6301f4601e4c86",
    ..CLANG
};

const PIPELINE: &str = r#"
version = 1
[tool.clang]
file = "clang.wasm"
argv0 = "clang"
memory = "1GiB"
[tool.clang.files."/usr"]
file = "usr.tar"
[tool.ld]
like = "clang"
argv0 = "wasm-ld"
[step.cc]
tool = "clang"
matrix = { file = { glob = "src/*.c" } }
src = ["{matrix.file}"]
args = ["-c", "-O1", "/{matrix.file}", "-o", "/out/{matrix.file.stem}.o"]
out = ["*.o"]
[step.link]
tool = "ld"
in = { "/obj" = "cc" }
args = ["-L/usr/lib/wasm32-wasip1", "/usr/lib/wasm32-wasip1/crt1.o", "{in:/obj/*.o}", "-lc",
        "/usr/lib/wasm32-unknown-wasip1/libclang_rt.builtins.a", "-o", "/out/app.wasm"]
out = ["app.wasm"]
[step.test]
wasm = "{link}/app.wasm"
matrix = { n = ["1", "2"] }
args = ["{matrix.n}"]
"#;

pub(super) fn measure(program: &Path) -> Result<Row, Failure> {
    let bench = Bench::new(program)?;
    std::fs::copy(packages::ensure(CLANG)?, bench.path().join("clang.wasm"))?;
    std::fs::copy(packages::ensure(RESOURCES)?, bench.path().join("usr.tar"))?;
    std::fs::create_dir_all(bench.path().join("usr"))?;
    let mut tar = Command::new("tar");
    tar.args(["-xf", "usr.tar", "-C", "usr"]).current_dir(bench.path());
    if !tar.status()?.success() {
        return Err("tar cannot unpack the resources of clang".into());
    }
    bench.write("src/f0.c", "int main(void) { return 0; }\n")?;
    for at in 1..FILES {
        bench
            .write(&format!("src/f{at}.c"), format!("int f{at}(int a) {{ return a * {at}; }}\n"))?;
    }
    bench.write("skep-ci.toml", PIPELINE)?;
    let run = |words: &[&str]| bench.command(&[&["run", "--isolate"][..], words].concat());
    let tool =
        ["--memory", "1GiB", "--dir", "usr::/usr", "--dir", "src::/src", "--dir", "obj::/obj"];
    let theirs = || {
        let began = Instant::now();
        // With a fresh --out for each, as one of a build tool is.
        drop(std::fs::remove_dir_all(bench.path().join("obj")));
        std::fs::create_dir_all(bench.path().join("obj"))?;
        bench.each(FILES, |at| {
            let (source, object) = (format!("/src/f{at}.c"), format!("/out/f{at}.o"));
            let words = ["--argv0", "clang", "--out", &format!("made{at}"), "clang.wasm"];
            let arguments = ["-c", "-O1", &source, "-o", &object];
            bench.command(&[&["run"][..], &tool, &words, &arguments].concat())
        })?;
        for at in 0..FILES {
            let name = format!("f{at}.o");
            std::fs::rename(
                bench.path().join(format!("made{at}")).join(&name),
                bench.path().join("obj").join(&name),
            )?;
        }
        let objects: Vec<_> = (0..FILES).map(|at| format!("/obj/f{at}.o")).collect();
        let mut words = vec!["run"];
        words.extend(tool);
        words.extend(["--argv0", "wasm-ld", "--out", "linked", "clang.wasm"]);
        words.extend(["-L/usr/lib/wasm32-wasip1", "/usr/lib/wasm32-wasip1/crt1.o"]);
        words.extend(objects.iter().map(String::as_str));
        words.extend(["-lc", "/usr/lib/wasm32-unknown-wasip1/libclang_rt.builtins.a"]);
        words.extend(["-o", "/out/app.wasm"]);
        if !bench.command(&words).status()?.success() {
            return Err("linking failed".into());
        }
        bench.each(2, |at| run(&["linked/app.wasm", &at.to_string()]))?;
        Ok(began.elapsed())
    };
    let summary = bench.compare(PAIRS, ACTIONS, theirs)?;
    Ok(Row::beside("action of a C project, 23 actions", "skep run, two at a time", summary, 0.25))
}
