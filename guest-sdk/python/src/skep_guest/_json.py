"""JSON, as text that is safe to read and compact to write."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any

DEEPEST = 500
"""The deepest nesting of arrays and objects that is read. The parser is recursive, and past some
1,000 levels it would end the instance, as a worker's call stack is limited."""

_OTHER = bytes(set(range(256)) - set(b"[]{}"))
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_STEP = {ord(c): 1 if c in "[{" else -1 for c in "[]{}"}


def loads(body: bytes) -> Any:
    """Returns the value that UTF-8 bytes are as JSON. Raises ValueError if they are none."""
    if _depth(body) > DEEPEST and _depth(_STRING.sub(b"", body)) > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    return json.loads(body)


def dumps(value: object) -> str:
    """Returns a value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _depth(body: bytes) -> int:
    steps = map(_STEP.__getitem__, body.translate(None, _OTHER))
    return max(accumulate(steps), default=0)
