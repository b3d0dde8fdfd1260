"""The calls of a service: its turns and its hooks, in the types of the host."""

import skep_instance
from componentize_py_types import Err
from skep_guest import _turn
from skep_guest._failure import Failure
from skep_guest._message import Input
from skep_guest._worker import ConnectReason, marks
from wit_world.exports.handler import Failure as WitFailure
from wit_world.exports.handler import Output as WitOutput

# The hook `connected` of this instance that has not ended well yet: its reason.
_due = []


def handle(input):
    """Answers one input, as the exported function."""
    try:
        output = _answer(Input(input.content_type, input.body))
    except Failure as failure:
        raise refused(failure) from None
    finally:
        skep_instance.flush()
    return WitOutput(output.content_type, output.body)


def refused(failure):
    """Returns the exception that the exported function raises for a failure."""
    return Err(WitFailure(failure.code, failure.message))


def _answer(input):
    while _due:
        _turn.connected(_due[0])
        _due.clear()
    return _turn.handle(marks.functions["worker"][0], input)


def connected(reason):
    """Calls the author's hook. If it fails, the next turn says so, and calls it again."""
    _due.append(ConnectReason[reason.name])
    try:
        _turn.connected(_due[0])
        _due.clear()
    except Failure:
        pass  # its traceback is on stderr, and the next turn calls it again
    finally:
        skep_instance.flush()


def disconnecting():
    """Calls the author's hook."""
    try:
        _turn.disconnecting()
    finally:
        skep_instance.flush()
