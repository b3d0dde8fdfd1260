"""A mistake in an author's project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A mistake: where it is, what it is, and the next step."""

    file: str
    line: int
    column: int
    message: str
    step: str = ""

    def __str__(self) -> str:
        place = ""
        if self.file:
            place = f"{self.file}:{self.line or 1}:{self.column or 1}: "
        text = f"{place}error: {self.message}"
        return f"{text}\n  next: {self.step}" if self.step else text


class Faults(Exception):
    """The mistakes because of which nothing was built."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults


def fail(message: str, step: str = "") -> Faults:
    """Returns one mistake that has no place in the source."""
    return Faults([Fault("", 0, 0, message, step)])
