"""Where the modules of a component come from.

While a component is built, and in the runner, the author's modules are files. Their code carries the
names that the author knows (`src/worker.py`), so that tracebacks and failures show them. A built
component has no files: it carries the source of each module that is not imported yet, and compiles
it at its first import.
"""

import importlib.util
import io
import linecache
import os
import sys
import zlib
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader

# Parts of the standard library that do not work in a worker, or that a worker does not need.
LEFT_OUT = frozenset(
    "__pycache__ _aix_support.py _android_support.py _apple_support.py _ios_support.py "
    "_osx_support.py _pyrepl antigravity.py config-3.14-wasm32-wasi ctypes curses dbm ensurepip "
    "idlelib multiprocessing pty.py pydoc_data site-packages test this.py tkinter tty.py turtle.py "
    "turtledemo venv webbrowser.py".split()
)


class Names:
    """The author's names of folders: `/3/worker.py` is shown as `src/worker.py`."""

    def __init__(self):
        self._folders = {}

    def add(self, folder, name):
        """Shows the files in a folder under another name."""
        self._folders[folder] = name
        sys.path_importer_cache.clear()

    def shown(self, path):
        """Returns the author's name of a file, or None if it is in no such folder."""
        for folder, name in self._folders.items():
            if path == folder or path.startswith(folder + "/"):
                return name + path[len(folder):]
        return None


names = Names()


class NamedLoader(SourceFileLoader):
    """Loads a module from a file, under the name that its author knows. It writes no cache."""

    def get_code(self, fullname):
        return self.source_to_code(self.get_data(self.path), self.path)

    def source_to_code(self, data, path, *_, **__):
        return compiled(data, names.shown(path) or path)

    def get_data(self, path):
        return packed.read(path) if packed.has(path) else super().get_data(path)

    def get_resource_reader(self, fullname):
        return Resources(os.path.dirname(self.path))


def compiled(source, name):
    """Compiles a module, and keeps its lines for tracebacks."""
    code = compile(source, name, "exec", dont_inherit=True)
    text = importlib.util.decode_source(source)
    linecache.cache[name] = (len(source), None, text.splitlines(True), name)
    return code


def _finder(folder):
    if names.shown(folder) is None:
        raise ImportError("not a folder with an author's names", path=folder)
    return FileFinder(folder, (NamedLoader, [".py"]))


class Resources:
    """Reads the data files of a package, for `importlib.resources`."""

    def __init__(self, folder):
        self._folder = folder

    def open_resource(self, name):
        path = f"{self._folder}/{name}"
        return io.BytesIO(packed.read(path)) if packed.has(path) else open(path, "rb")

    def is_resource(self, name):
        path = f"{self._folder}/{name}"
        return packed.has(path) or os.path.isfile(path)

    def resource_path(self, name):
        raise FileNotFoundError(f"{self._folder}/{name}")

    def contents(self):
        try:
            return os.listdir(self._folder)
        except OSError:
            return packed.contents(self._folder)


class Packed:
    """Finds and loads the modules whose compressed source the component carries, and reads the data
    files that it carries for their packages."""

    def __init__(self):
        self._modules = {}
        self._files = {}

    def add_files(self, folder):
        """Packs the data files in a folder, for `importlib.resources` and `pkgutil.get_data`."""
        for place, folders, files in os.walk(folder):
            folders[:] = [f for f in folders if f.isidentifier() and f != "__pycache__"]
            for name in files if place != folder else ():
                if not name.endswith((".py", ".pyc", ".pyi", ".so", ".pyd", ".dylib")):
                    with open(f"{place}/{name}", "rb") as file:
                        self._files[f"{place}/{name}"] = zlib.compress(file.read(), 9)

    def has(self, path):
        """Tells whether a data file is there."""
        return path in self._files

    def read(self, path):
        """Returns a data file."""
        return zlib.decompress(self._files[path])

    def contents(self, folder):
        """Returns the names of the data files in a folder."""
        start = len(folder) + 1
        return [p[start:] for p in self._files if p.startswith(f"{folder}/") and "/" not in p[start:]]

    def add(self, folder, left_out=frozenset()):
        """Packs the modules in a folder. The first folder with a module wins."""
        for path, module, package in sorted(_modules_in(folder, "", left_out)):
            if module not in self._modules and module not in sys.modules:
                with open(path, "rb") as file:
                    self._modules[module] = (path, package, zlib.compress(file.read(), 9))

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self._modules:
            return None
        origin, package, _ = self._modules[fullname]
        spec = ModuleSpec(fullname, self, origin=origin, is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [os.path.dirname(origin)]
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        origin, _, source = self._modules[module.__name__]
        exec(compiled(zlib.decompress(source), names.shown(origin) or origin), module.__dict__)

    def get_data(self, path):
        if not self.has(path):
            raise FileNotFoundError(path)
        return self.read(path)

    def get_resource_reader(self, fullname):
        return Resources(os.path.dirname(self._modules[fullname][0]))

    def size(self):
        """Returns the number of modules and of their compressed bytes."""
        return len(self._modules), sum(len(source) for _, _, source in self._modules.values())


packed = Packed()


def _modules_in(folder, prefix, left_out):
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        stem, extension = os.path.splitext(name)
        if name in left_out or name == "__pycache__":
            continue
        if extension == ".py" and stem.isidentifier():
            package = stem == "__init__"
            if not package or prefix:
                yield path, prefix.rstrip(".") if package else prefix + stem, package
        elif name.isidentifier() and os.path.isdir(path):
            yield from _modules_in(path, f"{prefix}{name}.", left_out)


def install():
    """Makes `import` use this module's finders, and hides the build's own files from tracebacks."""
    from skep_guest import _fault

    _fault.LIBRARIES.extend([os.path.dirname(__file__), "/0", "/world", "/bundled"])
    sys.path_hooks.insert(0, _finder)
    sys.path_importer_cache.clear()
    sys.meta_path.append(packed)
