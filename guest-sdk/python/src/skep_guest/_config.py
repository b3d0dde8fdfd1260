"""The worker's config bundle: text values, fixed while the worker runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ._host import host


#: The key by which the runner finds the version of the source. It is no value of the author's.
VERSION_KEY = "skep.app"


class Config(Mapping[str, str]):
    """The config bundle as a read-only mapping, sorted by key."""

    def __getitem__(self, key: str) -> str:
        value = host.config_get(_key(key))
        if value is None or key == VERSION_KEY:
            raise KeyError(f"{key} is not in the worker's config; set it under [config]")
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.get_all())

    def __len__(self) -> int:
        return len(self.get_all())

    def get_all(self) -> dict[str, str]:
        """Returns all keys and values, sorted by key."""
        return {key: value for key, value in host.config_all() if key != VERSION_KEY}

    def __repr__(self) -> str:
        return f"Config({list(self)})"


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a config key is str, not {type(key).__name__}")
    return key


config = Config()
