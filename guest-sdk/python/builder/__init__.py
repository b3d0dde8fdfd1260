"""The build program of a Python worker."""
