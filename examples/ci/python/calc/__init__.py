"""Arithmetic."""


def div(a, b):
    """Divides, and rounds down."""
    if b == 0:
        raise ValueError("cannot divide by zero")
    return a // b
