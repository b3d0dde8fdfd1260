"""Runs the unit tests of a worker in C natively: `skep test` calls this program.

Each `tests/*_test.c` is a program with a `main` that includes `skep_testing.h`. It is linked with
the project's sources and the SDK's. The compiler is `$CC` or `cc`, else the one of ziglang, which
first compiles its own libraries for this machine: about half a minute, once.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import build
import libc
from failure import Failure

FLAGS = ("-std=gnu11", "-g", "-O0", "-Wall", "-Wextra", "-Werror=implicit-function-declaration")


def main():
    parser = argparse.ArgumentParser(description="Run the unit tests of a Skep worker in C.")
    parser.add_argument("--project", type=pathlib.Path, default=pathlib.Path("."))
    parser.add_argument("--entry", default="src/worker.c")
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="the virtual environment")
    options = parser.parse_args()
    project = options.project.resolve()
    try:
        library = libc.ensure(options.tools)
        tests = sorted((project / "tests").glob("*_test.c"))
        results = [run_test(library, project, options.entry, path) for path in tests]
    except Failure as failure:
        print(failure, file=sys.stderr)
        sys.exit(1)
    sys.exit(0 if all(results) else 1)


def run_test(library, project, entry, path):
    folder = project / ".skep" / "build" / "c-tests"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"{path.stem}{'.exe' if os.name == 'nt' else ''}"
    compile_test(library, project, entry, path, program)
    print(f"running {path.relative_to(project).as_posix()}", flush=True)
    with tempfile.TemporaryDirectory(dir=folder) as data:
        run = subprocess.run([program], cwd=project, env={**os.environ, "SKEP_TEST_DIR": data})
    if run.returncode < 0 or run.returncode > 1:
        print(f"{path.relative_to(project).as_posix()}: error: the tests crashed ({run.returncode})",
              file=sys.stderr)
    return run.returncode == 0


def compile_test(library, project, entry, path, program):
    sources = build.find_sources(project, entry)
    sources += [path.relative_to(project).as_posix()]
    sources += [str(build.SDK / name) for name in build.SDK_SOURCES]
    command = [*compiler(library), *FLAGS, f"-I{build.SDK}", "-Isrc", *sources, "-o", str(program)]
    run = library.run(command, cwd=project)
    messages = build.readable(run.stderr, library, project)
    if run.returncode != 0:
        raise Failure(messages.rstrip())
    sys.stderr.write(messages)


def compiler(library):
    found = shutil.which(os.environ.get("CC", "cc"))
    return [found] if found else [library.zig, "cc"]


if __name__ == "__main__":
    main()
