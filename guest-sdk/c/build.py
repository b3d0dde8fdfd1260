"""Builds a worker in C into a core module: `skep build` calls this program, and makes a component of
the module.

It compiles every `src/**/*.c` of the project and the SDK with the clang of the PyPI package ziglang,
and links them with wasi-libc. A program with a `main` becomes a WASI preview1 module, which Skep runs
as it is, with its exit code.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import libc
import module
from failure import Failure

SDK = pathlib.Path(__file__).resolve().parent
SDK_SOURCES = ("skep_guest.c", "skep_fetch.c")
COMPILE = ("-std=gnu11", "-O2", "-gline-tables-only", "-Wall", "-Wextra", "-Wno-unused-parameter",
           "-Werror=implicit-function-declaration",
           "-Werror=return-type", "-fdebug-compilation-dir=.", "-fno-ident")
# 1 MiB of stack below the data, so that an overflow is a trap and not a wrong value.
LINK = ("--error-limit=0", "--fatal-warnings", "--export-memory", "--stack-first",
        "-z", "stack-size=1048576", "--build-id=none")
HANDLE = "skep:worker/handler@0.1.0#handle"
HOOKS = {"skep:worker/lifecycle@0.1.0#connected": "SKEP_DEFAULT_CONNECTED",
         "skep:worker/lifecycle@0.1.0#disconnecting": "SKEP_DEFAULT_DISCONNECTING"}
MAIN = re.compile(r"^[ \t]*(?:int|void)\s+main\s*\(", re.MULTILINE)


def main():
    options = arguments()
    try:
        if options.prepare:
            libc.ensure(options.tools)
        else:
            build(options)
    except Failure as failure:
        print(failure, file=sys.stderr)
        sys.exit(1)


def arguments():
    parser = argparse.ArgumentParser(description="Build a Skep worker in C.")
    parser.add_argument("--project", type=pathlib.Path, default=pathlib.Path("."))
    parser.add_argument("--entry", default="src/worker.c")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--wit", type=pathlib.Path, help="the folder of Skep's WIT files; not used")
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="the virtual environment")
    parser.add_argument("--prepare", action="store_true", help="only build wasi-libc into the tools")
    options = parser.parse_args()
    if not options.prepare and options.out is None:
        parser.error("--out is missing: name the file to write")
    return options


def build(options):
    project = options.project.resolve()
    sources = find_sources(project, options.entry)
    is_command = any(MAIN.search(read(project / source)) for source in sources)
    library = libc.ensure(options.tools)
    objects = project / ".skep" / "build" / "c"
    shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir(parents=True)

    compiled = compile_all(library, project, sources, objects)
    core = objects / "core.wasm"
    link(library, project, sources, compiled, is_command, core)
    content = module.read(core)
    if not is_command:
        content = add_missing_hook(library, project, sources, compiled, core, content, objects)
        check_imports(options.entry, content)

    publish(core, project / options.out)


def find_sources(project, entry):
    if not (project / entry).is_file():
        raise Failure(f"{entry}: error: the file does not exist. Create it, or change `entry` in "
                      "skep-worker.toml.")
    sources = {path.relative_to(project).as_posix() for path in (project / "src").rglob("*.c")}
    return sorted(sources | {pathlib.PurePath(entry).as_posix()})


def read(path):
    return path.read_text(encoding="utf-8", errors="replace")


# ---- Compiling ---------------------------------------------------------------------------------


def compile_all(library, project, sources, objects):
    """Compiles the project's files and the SDK's, and returns the object files in that order."""
    jobs = [(source, objects / f"{index}.o", ()) for index, source in enumerate(sources)]
    jobs += [(str(SDK / name), objects / f"{name}.o", ()) for name in SDK_SOURCES]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = list(pool.map(lambda job: compile_one(library, project, *job), jobs))
    messages = "".join(text for _, text in results)
    if any(code != 0 for code, _ in results):
        raise Failure(messages.rstrip())
    sys.stderr.write(messages)
    return [to for _, to, _ in jobs]


def compile_one(library, project, source, to, defines):
    # The last map that matches applies, and the two folders may be inside the project.
    maps = ((project, "."), (SDK, "skep"), (pathlib.Path(library.zig).parent, "zig"))
    command = [library.zig, "cc", "--target=wasm32-wasi", *COMPILE, *defines, f"-I{SDK}", "-Isrc",
               *(f"-ffile-prefix-map={folder}={name}" for folder, name in maps),
               "-c", source, "-o", str(to)]
    run = library.run(command, cwd=project)
    return run.returncode, readable(run.stderr, library, project)


def readable(messages, library, project):
    """Returns clang's messages with paths from the project, and without its notes on itself."""
    for folder, name in ((pathlib.Path(library.zig).parent, "zig/"), (SDK, "skep/"), (project, "")):
        messages = messages.replace(f"{folder}{os.sep}", name)
    dropped = re.compile(r"^(\d+ (error|warning)s?.*generated\.|error: .*failed with exit.*)$")
    return "".join(line for line in messages.splitlines(True) if not dropped.match(line.rstrip()))


# ---- Linking -----------------------------------------------------------------------------------


def link(library, project, sources, objects, is_command, core):
    start = library.command if is_command else library.reactor
    entry = ("--entry", "_start" if is_command else "_initialize")
    if is_command:
        # The glue of a service needs a handler.
        objects = [path for path in objects if path.name not in {f"{name}.o" for name in SDK_SOURCES}]
    command = [library.zig, "wasm-ld", *LINK, *entry, "-o", core, start, *objects,
               *library.archives]
    run = library.run([str(part) for part in command], cwd=project)
    if run.returncode != 0:
        raise Failure("\n".join(explain_link(run.stderr, project, sources)))


def explain_link(messages, project, sources):
    """Returns the linker's faults as lines that name a place in the sources."""
    names = dict.fromkeys(re.findall(r"undefined symbol: (\S+)", messages))
    mismatch = re.findall(r"function signature mismatch: (\S+)", messages)
    twice = re.findall(r"duplicate symbol: (\S+)", messages)
    faults = [undefined(name, project, sources) for name in names]
    faults += [f"{place(project, sources, name)}: error: `{name}` is not declared as it is "
               "defined elsewhere. Include the header that declares it." for name in mismatch]
    faults += [f"{place(project, sources, name)}: error: `{name}` is defined twice. Remove one, "
               "or make it `static`." for name in dict.fromkeys(twice)]
    return faults or [f"error: linking failed:\n{messages.strip()}"]


def undefined(name, project, sources):
    if name == "skep_handle":
        return (f"{sources[0]}:1:1: error: there is no handler. Define `skep_error "
                "skep_handle(const skep_input *input, skep_output *output)`, or a `main` for a "
                "command.")
    return (f"{place(project, sources, name)}: error: `{name}` is declared and defined nowhere. "
            "Add the file that defines it to src/.")


def place(project, sources, name):
    """Returns FILE:LINE:COLUMN of the first use of a name."""
    use = re.compile(rf"\b{re.escape(name)}\b")
    for source in sources:
        for number, line in enumerate(read(project / source).splitlines(), 1):
            found = use.search(line)
            if found and not line.lstrip().startswith(("//", "*", "/*")):
                return f"{source}:{number}:{found.start() + 1}"
    return sources[0]


def add_missing_hook(library, project, sources, objects, core, content, folder):
    """Links again with an empty function if the author defined one of the two lifecycle hooks."""
    missing = [define for hook, define in HOOKS.items() if hook not in content.exports]
    if len(missing) != 1:
        return content
    guest = folder / "skep_guest.c.o"
    source = str(SDK / "skep_guest.c")
    code, messages = compile_one(library, project, source, guest, (f"-D{missing[0]}",))
    if code != 0:
        raise Failure(messages)
    link(library, project, sources, objects, False, core)
    return module.read(core)


def check_imports(entry, content):
    known = re.compile(r"^(wasi_snapshot_preview1$|skep:worker/|wasi:)")
    for namespace, name in content.imports:
        if not known.match(namespace):
            raise Failure(f"{entry}: error: the code imports `{name}` from `{namespace}`, which "
                          "Skep does not offer. Remove the import_module attribute, or define "
                          "the function.")


# ---- The component -----------------------------------------------------------------------------


def publish(made, out):
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    os.close(handle)
    shutil.copyfile(made, new)
    os.chmod(new, 0o644)
    os.replace(new, out)


if __name__ == "__main__":
    main()
