"""Reads what a core WebAssembly module imports and exports."""

import dataclasses

IMPORTS, EXPORTS = 2, 7


@dataclasses.dataclass(frozen=True)
class Module:
    """The names that a module imports, as pairs of module and name, and those that it exports."""

    imports: tuple
    exports: frozenset


class Reader:
    """A position in the bytes of a module."""

    def __init__(self, data, position=0):
        self.data, self.position = data, position

    def byte(self):
        self.position += 1
        return self.data[self.position - 1]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def name(self):
        length = self.number()
        self.position += length
        return self.data[self.position - length:self.position].decode()

    def limits(self):
        flags = self.byte()
        for _ in range(2 if flags & 1 else 1):
            self.number()


def read(path):
    """Returns the imports and exports of a module file."""
    data = path.read_bytes()
    imports, exports = (), frozenset()
    reader = Reader(data, 8)
    while reader.position < len(data):
        section, length = reader.byte(), reader.number()
        content = Reader(data, reader.position)
        if section == IMPORTS:
            imports = tuple(read_import(content) for _ in range(content.number()))
        if section == EXPORTS:
            exports = frozenset(read_export(content) for _ in range(content.number()))
        reader.position += length
    return Module(imports, exports)


def read_import(reader):
    found = reader.name(), reader.name()
    kind = reader.byte()
    if kind == 0:
        reader.number()
    elif kind == 1:
        reader.byte(), reader.limits()
    elif kind == 2:
        reader.limits()
    else:
        reader.byte(), reader.byte()
    return found


def read_export(reader):
    name = reader.name()
    reader.byte(), reader.number()
    return name
