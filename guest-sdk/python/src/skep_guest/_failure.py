"""An ordinary failure of a turn."""

from __future__ import annotations


class Failure(Exception):
    """The reason why an input could not be handled. It rolls back the turn's writes to `state`; the
    worker continues with its next input.

    The SDK's own functions raise it too, with the codes `not-text`, `not-json`, `state-…`,
    `transcript-…` and `fetch-…`.
    """

    code: str
    """A short stable word that callers can match on, such as `bad-request`."""

    message: str
    """One sentence for the sender of the input."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
