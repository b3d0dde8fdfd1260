"""The path of the worker's own directory."""

from __future__ import annotations

from pathlib import Path

from ._host import host


def data_dir() -> Path:
    """Returns the worker's own directory: `/data` in a worker, a temporary directory in tests. It is
    limited by `disk_bytes` and `disk_entries`; files that a turn writes there stay if it fails."""
    return Path(host.data_dir())
