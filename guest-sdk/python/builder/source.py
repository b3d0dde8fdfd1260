"""The author's modules, as read before anything runs: syntax, imports, marks."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .fault import Fault
from .options import Options

MARKS = {"worker": 1, "web": 1, "connected": 1, "disconnecting": 0}
TAKES = {"worker": "one parameter, the Input", "web": "one parameter, the Request",
         "connected": "one parameter, the reason", "disconnecting": "no parameter"}

# The mark that each kind of worker has, and the step towards one.
CALLED = {
    "service": ("worker", "write `from skep_guest import Input, worker`, and `@worker` above the "
                          "function that handles an input"),
    "web": ("web", "write `from skep_guest import Request, Response, web`, and `@web` above the "
                   "function that handles a request"),
}

# In the standard library of an older Python, but not in the worker's.
REMOVED = frozenset("aifc asynchat asyncore audioop cgi cgitb chunk crypt distutils imghdr imp mailcap "
                    "msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu "
                    "xdrlib lib2to3".split())


@dataclass
class Module:
    """One of the author's modules."""

    name: str
    file: str
    tree: ast.Module
    imports: list[str] = field(default_factory=list)
    """The modules that it imports anywhere, also in functions."""
    sdk: set[str] = field(default_factory=set)
    """The names of `skep_guest` that it imports."""


@dataclass
class Source:
    """All of the author's modules."""

    modules: list[Module]
    faults: list[Fault]

    @property
    def uses_http(self) -> bool:
        """True where a module imports `skep_guest.http`."""
        return any("http" in m.sdk or "skep_guest.http" in m.imports for m in self.modules)

    @property
    def uses_asyncio(self) -> bool:
        """True where a module imports asyncio or has an async function."""
        return any("asyncio" in m.imports or any(isinstance(node, ast.AsyncFunctionDef)
                                                 for node in ast.walk(m.tree)) for m in self.modules)

    @property
    def has_hooks(self) -> bool:
        """True where a module uses a lifecycle hook."""
        return any({"connected", "disconnecting"} & {*m.sdk, *_attributes(m.tree)}
                   for m in self.modules)


def read(options: Options) -> Source:
    """Reads and checks the modules below the folder of the entry."""
    source = Source([], [])
    root = options.source
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
            continue
        _read(source, path, inside, f"{options.source_name}/{inside.as_posix()}")
    for module in source.modules:
        source.faults += _missing(module, options, {m.name for m in source.modules})
    if not source.faults:
        source.faults += _check_marks(source.modules, options)
    return source


def _read(source: Source, path: Path, inside: Path, file: str) -> None:
    file = file.removeprefix("./")
    try:
        tree = ast.parse(path.read_bytes(), file)
    except SyntaxError as error:
        source.faults.append(_syntax(file, error))
        return
    except ValueError as error:  # a null byte
        source.faults.append(Fault(file, 1, 1, f"SyntaxError: {error}", "save the file as UTF-8 text"))
        return
    parts = list(inside.with_suffix("").parts)
    package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if package else parts)
    module = Module(name, file, tree)
    base = parts[:-1]
    for node in ast.walk(tree):
        _add_imports(module, node, base)
    source.modules.append(module)


def _syntax(file: str, error: SyntaxError) -> Fault:
    message = f"{type(error).__name__}: {error.msg}"
    step = f"this was checked by Python {sys.version_info.major}.{sys.version_info.minor}; the worker "
    step += "runs Python 3.14" if sys.version_info < (3, 14) else ""
    newer = sys.version_info < (3, 14)
    return Fault(file, error.lineno or 1, error.offset or 1, message, step if newer else "")


def _add_imports(module: Module, node: ast.AST, base: list[str]) -> None:
    if isinstance(node, ast.Import):
        module.imports += [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        name = node.module or ""
        if node.level:
            name = ".".join([*base[: len(base) - node.level + 1], *filter(None, [name])])
        if name == "skep_guest":
            module.sdk |= {alias.name for alias in node.names}
        if name:
            module.imports.append(name)
            module.imports += [f"{name}.{alias.name}" for alias in node.names if alias.name != "*"]


def _attributes(tree: ast.Module) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _missing(module: Module, options: Options, own: set[str]) -> list[Fault]:
    """Finds the imports outside of functions whose module is nowhere."""
    found = []
    for node in _needed(module.tree.body):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if isinstance(node, ast.ImportFrom) and node.level:
            continue
        for name in names:
            top = name.partition(".")[0]
            if not _known(top, options, own):
                found.append(_no_module(module.file, node, top, own))
    return found


def _needed(body: list[ast.stmt]) -> list[ast.Import | ast.ImportFrom]:
    """Returns the imports that run when the module is imported, without those in `try` and `if`."""
    return [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]


def _known(top: str, options: Options, own: set[str]) -> bool:
    if top == "skep_guest" or top in own or any(name.startswith(f"{top}.") for name in own):
        return True
    if top in sys.stdlib_module_names or sys.version_info < (3, 14) and top in NEW:
        return top not in REMOVED
    if (options.source / top).is_dir():
        return True
    return options.site.is_dir() and any(
        path.name == top or path.name.split(".")[0] == top for path in options.site.iterdir()
    )


NEW = frozenset(["annotationlib", "compression", "string"])


def _no_module(file: str, node: ast.stmt, top: str, own: set[str]) -> Fault:
    if top in REMOVED:
        step = "Python 3.14, which runs the worker, no longer has it: use its successor"
    else:
        step = f"add the package to requirements.txt and run `skep build`, or write {top}.py beside it"
    return Fault(file, node.lineno, node.col_offset + 1, f"no module named {top}", step)


def _check_marks(modules: list[Module], options: Options) -> list[Fault]:
    marked: dict[str, list[tuple[Module, ast.FunctionDef | ast.AsyncFunctionDef]]] = {}
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for mark in _marks(module, node):
                    marked.setdefault(mark, []).append((module, node))
    faults = []
    called, step = CALLED[options.kind]
    other = next(kind for kind in CALLED if kind != options.kind)
    if not marked.get(called) and not any({called, "*"} & m.sdk for m in modules) and not any(
        "skep_guest" in m.imports and called in _attributes(m.tree) for m in modules
    ):
        if marked.get(CALLED[other][0]):
            step = f'with @{CALLED[other][0]}, set kind = "{other}" in skep-worker.toml'
        faults.append(Fault(options.entry, 1, 1, f"no function is marked @{called}", step))
    for mark, functions in marked.items():
        faults += [fault for module, node in functions for fault in _parameters(mark, module, node)]
        for module, node in functions[1:]:
            first, at = functions[0][1], functions[0][0].file
            faults.append(_at(module, node, f"{node.name} is marked @{mark}, and so is {first.name} "
                              f"({at}:{first.lineno}); a worker has one", "remove a mark"))
    return faults


def _marks(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    found = []
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Name) and decorator.id in module.sdk & MARKS.keys():
            found.append(decorator.id)
        elif (isinstance(decorator, ast.Attribute) and decorator.attr in MARKS
              and isinstance(decorator.value, ast.Name) and decorator.value.id == "skep_guest"):
            found.append(decorator.attr)
    return found


def _parameters(mark: str, module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[Fault]:
    if len(node.decorator_list) > 1:
        return []  # another decorator may change the parameters
    given, args = MARKS[mark], node.args
    most = len(args.posonlyargs) + len(args.args)
    least = most - len(args.defaults)
    keyword = sum(default is None for default in args.kw_defaults)
    if least <= given and (given <= most or args.vararg) and not keyword:
        return []
    return [_at(module, node, f"{node.name}({ast.unparse(args)}) cannot be called by Skep: a function "
                              f"marked @{mark} takes {TAKES[mark]}", "change its parameters")]


def _at(module: Module, node: ast.stmt, message: str, step: str) -> Fault:
    return Fault(module.file, node.lineno, node.col_offset + 1, message, step)
