"""The build program: from a command line to a component, a bundle or the runner."""

from __future__ import annotations

import sys

from . import bundle, component, options
from .fault import Faults


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0, or 1 after a message for each mistake on stderr."""
    try:
        given = options.parse(arguments)
        if given.runner:
            component.build_runner(given)
        elif given.bundle is not None:
            bundle.write(given, given.bundle)
        else:
            component.build(given)
    except Faults as faults:
        for fault in faults.faults:
            print(fault, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0
