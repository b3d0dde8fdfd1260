"""A fault that the author can mend."""


class Failure(Exception):
    """Its text is one message per fault: `FILE:LINE:COLUMN: error: …`, and a next step."""
