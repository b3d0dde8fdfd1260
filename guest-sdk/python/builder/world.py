"""The WIT world of one component."""

from __future__ import annotations

import shutil
from pathlib import Path

from .fault import fail

NAME = "python-worker"


def write(wit: Path, folder: Path, kind: str, fetch: bool, lifecycle: bool) -> Path:
    """Writes a copy of Skep's WIT with a world of our own. It asks for `fetch` and `lifecycle` only
    where the worker has them."""
    if not (wit / "world.wit").is_file():
        raise fail(f"there is no WIT of Skep in {wit}", "run `skep build`, which passes its own")
    if fetch and not (wit / "fetch.wit").is_file():
        raise fail("skep_guest.http needs skep:worker/fetch, which this version of Skep does not have",
                   "install a newer skep, or remove the import of skep_guest.http")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(wit, folder)
    lines = ["include web-worker;" if kind == "web" else "include worker;"]
    lines += ["import fetch;"] if fetch else []
    lines += ["export lifecycle;"] if lifecycle else []
    body = "\n".join(f"  {line}" for line in lines)
    (folder / "python-worker.wit").write_text(f"package skep:worker@0.1.0;\n\nworld {NAME} {{\n{body}\n}}\n")
    return folder
