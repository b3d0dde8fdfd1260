"""The main part of a built HTTP worker: its export."""

import urllib.parse  # noqa: F401  in the snapshot, since most requests have a query

import skep_entry
import skep_instance
from componentize_py_types import Err
from skep_guest import _turn
from skep_guest._failure import Failure
from skep_guest._web import request_of
from skep_guest._worker import marks
from wit_world.exports.web import Failure as WitFailure
from wit_world.exports.web import Response as WitResponse


class Web:
    """The export `skep:worker/web`."""

    def respond(self, request):
        skep_entry.wake()
        try:
            status, headers, body = _turn.respond(marks.functions["web"][0], request_of(request))
        except Failure as failure:
            raise Err(WitFailure(failure.code, failure.message)) from None
        finally:
            skep_instance.flush()
        return WitResponse(status, headers, body)


skep_entry.seal()
