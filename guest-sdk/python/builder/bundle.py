"""The source tree that the runner reads from `/app`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import source
from .fault import Faults, fail
from .options import Options

SITE = "site-packages"
BUNDLE = "skep-bundle.json"
LEFT_OUT = ("__pycache__", "*.pyc", ".*")


def write(options: Options, folder: Path) -> None:
    """Writes the author's modules and packages into a folder. Nothing changes where the source has a
    mistake."""
    read = source.read(options)
    if read.faults:
        raise Faults(read.faults)
    if folder.exists() and any(folder.iterdir()) and not (folder / BUNDLE).is_file():
        raise fail(f"{folder} is not empty and is no bundle", "name an empty folder")
    if (options.source / SITE).exists():
        raise fail(f"{options.source_name}/{SITE} has the name of a folder of the bundle",
                   "give it another name")
    folder.mkdir(parents=True, exist_ok=True)
    _mirror(options.source, folder)
    if options.site.is_dir():
        _mirror(options.site, folder / SITE)
    else:
        shutil.rmtree(folder / SITE, ignore_errors=True)
    settings = {"entry": options.module, "source": options.source_name, "site": SITE}
    (folder / BUNDLE).write_text(json.dumps(settings) + "\n", encoding="utf-8")


def _mirror(origin: Path, copy: Path) -> None:
    """Makes a folder equal to another one. Files with the same size and time are left alone."""
    copy.mkdir(exist_ok=True)
    kept = {BUNDLE, SITE}
    for path in origin.iterdir():
        if any(path.match(pattern) for pattern in LEFT_OUT):
            continue
        kept.add(path.name)
        target = copy / path.name
        if path.is_dir():
            _mirror(path, target)
        elif not _same(path, target):
            shutil.copy2(path, target)
    for path in copy.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _same(one: Path, other: Path) -> bool:
    if not other.is_file():
        return False
    a, b = one.stat(), other.stat()
    return (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)
