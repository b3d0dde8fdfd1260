"""A component made by componentize-py: CPython, the SDK and a source, as a snapshot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import source, world
from .fault import Fault, Faults, fail
from .options import Options

SDK = Path(__file__).resolve().parent.parent


ENTRY = "skep_main"
MAIN = """\
import sys

sys.dont_write_bytecode = True
from {} import {}
"""


class Rebuild(Exception):
    """The world has to have the lifecycle, which the source only showed when it ran."""


def build(options: Options) -> None:
    """Builds the author's worker."""
    read = source.read(options)
    if read.faults:
        raise Faults(read.faults)
    try:
        _build(options, read, read.has_hooks and options.kind == "service")
    except Rebuild:
        _build(options, read, True)


def build_runner(options: Options) -> None:
    """Builds the runner, which has no author."""
    assert options.wit is not None
    folder = _fresh(options.scratch.parent / "python-runner")
    fetch = (options.wit / "fetch.wit").is_file()
    wit = world.write(options.wit, folder / "wit", "service", fetch, True)
    build_folder = _fresh(folder / "0")
    _componentize(options, wit, [build_folder, SDK / "guest", SDK / "src"], "skep_runner", folder)


def _build(options: Options, read: source.Source, lifecycle: bool) -> None:
    assert options.wit is not None
    folder = _fresh(options.scratch)
    wit = world.write(options.wit, folder / "wit", options.kind, read.uses_http, lifecycle)
    build_folder = _fresh(folder / "0")
    paths = [build_folder, SDK / "guest", SDK / "src", options.source]
    names = {"/3": options.source_name}
    if options.site.is_dir():
        paths.append(options.site)
        names["/4"] = "site-packages"
    _write_settings(build_folder, options, names, read, lifecycle)
    part = "skep_web" if options.kind == "web" else "skep_service"
    _componentize(options, wit, paths, part, folder)


def _write_settings(
    folder: Path, options: Options, names: dict[str, str], read: source.Source, lifecycle: bool
) -> None:
    settings = {
        "ENTRY": options.module,
        "NAMES": names,
        "SITE": "/4" if "/4" in names else "",
        "KIND": options.kind,
        "LIFECYCLE": lifecycle,
        "ASYNC": read.uses_asyncio,
        "IMPORTS": {module.name: sorted(set(module.imports)) for module in read.modules},
    }
    text = "".join(f"{name} = {value!r}\n" for name, value in settings.items())
    (folder / "skep_settings.py").write_text(text, encoding="utf-8")


def _componentize(options: Options, wit: Path, paths: list[Path], part: str, folder: Path) -> None:
    assert options.out is not None
    exports = "Web" if part == "skep_web" else "Handler, Lifecycle"
    (paths[0] / f"{ENTRY}.py").write_text(MAIN.format(part, exports), encoding="utf-8")
    made = folder / "component.wasm"
    command = [_program(), "-q", "-d", str(wit), "-w", world.NAME, "componentize", ENTRY,
               "-o", str(made)]
    for path in paths:
        command += ["-p", str(path)]
    ended = subprocess.run(command, env=_environment(folder), cwd=folder, text=True,
                           errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    _show_output(folder / "0" / "output.txt")
    if ended.returncode != 0:
        _explain(folder / "0" / "report.json", ended.stdout)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    made.replace(options.out)


def _program() -> str:
    name = "componentize-py.exe" if os.name == "nt" else "componentize-py"
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which("componentize-py")
    if found is None:
        raise fail("componentize-py is not installed",
                   "run `skep build`, which installs tools/requirements.txt")
    return found


def _environment(folder: Path) -> dict[str, str]:
    # componentize-py adds the packages of the surrounding Python, unless it is told of another.
    empty = folder / "empty"
    (empty / "lib" / "site-packages").mkdir(parents=True)
    return {**os.environ, "VIRTUAL_ENV": str(empty), "RUST_BACKTRACE": "0"}


def _show_output(file: Path) -> None:
    if file.is_file() and (text := file.read_text(encoding="utf-8", errors="replace")):
        print(text, end="" if text.endswith("\n") else "\n", file=sys.stderr)


def _explain(report: Path, output: str) -> None:
    if not report.is_file():
        lines = output.partition("Stack backtrace:")[0].strip().splitlines()
        text = "\n  ".join(line for line in lines[-12:] if line.strip())
        raise fail(f"componentize-py failed: {text}",
                   "if your source is right, report this with the text above")
    entries = json.loads(report.read_text(encoding="utf-8"))
    if entries == [{"lifecycle": True}]:
        raise Rebuild
    raise Faults([
        Fault(e["file"], e["line"], e.get("column") or 1, e["message"], e.get("step") or "")
        for e in entries
    ])


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
