"""The worker's config bundle: text values, fixed while the worker runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ._host import host


class Config(Mapping[str, str]):
    """The config bundle as a read-only mapping, sorted by key."""

    def __getitem__(self, key: str) -> str:
        value = host.config_get(_key(key))
        if value is None:
            raise KeyError(f"{key} is not in the worker's config; set it under [config]")
        return value

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in host.config_all())

    def __len__(self) -> int:
        return len(host.config_all())

    def get_all(self) -> dict[str, str]:
        """Returns all keys and values, sorted by key."""
        return dict(host.config_all())

    def __repr__(self) -> str:
        return f"Config({list(self)})"


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a config key is str, not {type(key).__name__}")
    return key


config = Config()
