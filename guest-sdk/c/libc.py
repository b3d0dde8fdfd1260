"""The compiler, and wasi-libc without its own debug information.

The package ziglang has wasi-libc as source, and compiles it at the first link: about 20 seconds of
CPU time. This module does that once per tools folder and keeps the four results. Without their
debug information a worker has 30 KB instead of 1 MB, and its own lines are still in it.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from failure import Failure

REACTOR, COMMAND = "crt1-reactor.o", "crt1-command.o"
ARCHIVES = ("libc.a", "libzigc.a", "libcompiler_rt.a")


@dataclasses.dataclass(frozen=True)
class Library:
    """The paths of the compiler and of what every worker is linked with."""

    zig: str
    folder: pathlib.Path

    @property
    def reactor(self):
        return self.folder / REACTOR

    @property
    def command(self):
        return self.folder / COMMAND

    @property
    def archives(self):
        return [self.folder / name for name in ARCHIVES]

    def run(self, command, cwd=None, **variables):
        cache = str(self.folder / "cache")
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache,
                       **variables}
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True,
                              errors="replace")


def ensure(tools):
    """Returns the library of a tools folder, and builds it at the first call."""
    tools = tools.resolve()
    zig = find_zig(tools)
    library = Library(zig, tools / f"wasi-libc-{version(zig)}")
    if not library.folder.exists():
        print("building wasi-libc, once ...", flush=True)
        with tempfile.TemporaryDirectory(dir=tools, prefix="wasi-libc-") as folder:
            make(Library(zig, pathlib.Path(folder)))
            try:
                os.rename(folder, library.folder)
            except OSError:
                # Another build was faster.
                if not library.folder.exists():
                    raise
            os.makedirs(folder, exist_ok=True)
    return library


def make(library):
    source = library.folder / "empty.c"
    source.write_text("int main(void) { return 0; }\n")
    for model in ("reactor", "command"):
        command = [library.zig, "cc", "--target=wasm32-wasi", f"-mexec-model={model}", "-O2", "-s",
                   str(source), "-o", str(library.folder / "empty.wasm")]
        run = library.run(command, ZIG_VERBOSE_LINK="1")
        line = [line for line in run.stderr.splitlines() if line.startswith("wasm-ld ")]
        if run.returncode != 0 or not line:
            raise Failure(f"error: wasi-libc was not built. Remove the tools folder and build "
                          f"again:\n{run.stderr[-2000:].strip()}")
        for name in (f"crt1-{model}.o", *ARCHIVES):
            found = re.search(rf"(\S*/|){re.escape(name)}\b", line[-1].replace("\\", "/"))
            shutil.copyfile(found.group(0), library.folder / name)
    shutil.rmtree(library.folder / "cache")
    source.unlink()
    (library.folder / "empty.wasm").unlink()


def find_zig(tools):
    for pattern in ("lib/python*/site-packages/ziglang/zig", "Lib/site-packages/ziglang/zig.exe"):
        for path in sorted(tools.glob(pattern)):
            return str(path)
    raise Failure(f"error: {tools} has no compiler. Run `skep build` with a network connection, "
                  "which installs it.")


def version(zig):
    run = subprocess.run([zig, "version"], capture_output=True, text=True)
    if run.returncode != 0:
        raise Failure(f"error: {zig} does not run: {run.stderr.strip()}")
    return run.stdout.strip()


def program(tools, name):
    """Returns the path of a program that pip installed."""
    for path in (tools / "bin" / name, tools / "Scripts" / f"{name}.exe"):
        if path.exists():
            return path.resolve()
    raise Failure(f"error: {tools} has no {name}. Run `skep build` with a network connection, "
                  "which installs it.")
