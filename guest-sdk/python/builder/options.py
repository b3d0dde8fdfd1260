"""The command line of the build program."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from .fault import fail


@dataclass(frozen=True)
class Options:
    """What to build, and from what."""

    project: Path
    entry: str
    out: Path | None
    wit: Path | None
    bundle: Path | None
    runner: bool
    kind: str = "service"
    """`service`, or `web` for an HTTP worker."""

    @property
    def source(self) -> Path:
        """The folder of the entry, which is the root of the author's modules."""
        return (self.project / self.entry).parent

    @property
    def source_name(self) -> str:
        """The author's name of that folder, such as `src`."""
        return Path(self.entry).parent.as_posix()

    @property
    def module(self) -> str:
        """The module name of the entry."""
        return Path(self.entry).stem

    @property
    def site(self) -> Path:
        """The folder with the author's packages, which may be missing."""
        return self.project / ".skep" / "tools" / "python-site"

    @property
    def scratch(self) -> Path:
        """The folder for files of this build."""
        return self.project / ".skep" / "build" / "python"


def parse(arguments: list[str]) -> Options:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="build.py", description="Builds a Python worker.")
    parser.add_argument("--project", type=Path, default=Path("."))
    parser.add_argument("--entry", default="src/worker.py")
    parser.add_argument("--kind", choices=["service", "web"], default="service")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--wit", type=Path)
    parser.add_argument("--tools", type=Path, help="the folder of the tools, which is not used: "
                        "they are those of the Python that runs this program")
    parser.add_argument("--bundle-only", type=Path, dest="bundle", metavar="DIR")
    parser.add_argument("--runner", action="store_true")
    given = parser.parse_args(arguments)
    if given.bundle is None and (given.out is None or given.wit is None):
        parser.error("--out and --wit are needed, except with --bundle-only")
    project = given.project.resolve()
    if given.out is not None:
        given.out = given.out if given.out.is_absolute() else project / given.out
    entry = Path(given.entry).as_posix()
    options = Options(project, entry, given.out, given.wit, given.bundle, given.runner,
                      given.kind)
    if not options.runner:
        _check(options)
    return options


def _check(options: Options) -> None:
    if not (options.project / options.entry).is_file():
        raise fail(f"the entry {options.entry} is not there",
                   "write the worker there, or name its file as `entry` in skep-worker.toml")
    if not options.entry.endswith(".py") or not options.module.isidentifier():
        raise fail(f"the entry {options.entry} is not a Python module",
                   "give it a name of letters, digits and _ that ends in .py")
