"""The host: the component's imports in wasm, an in-memory double elsewhere."""

import sys

if sys.platform == "wasi":
    from . import _component as host
else:
    from . import _double as host

__all__ = ["host"]
