"""Why a module could not be imported while a component was built."""

import os
import traceback

import skep_settings
from skep_guest import _fault


def fault(error):
    """Returns file, line, column, message and next step of an error in the author's source."""
    if isinstance(error, SyntaxError) and error.filename:
        place = {"file": error.filename, "line": error.lineno, "column": error.offset}
        return {**place, "message": f"{type(error).__name__}: {error.msg}"}
    place = _place(error)
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    native = _native(error)
    if native is not None:
        return {**place, **native}
    if isinstance(error, SystemExit):
        return {**place, "message": f"{text} while the module was imported",
                "step": "a worker's source must end its import without exit"}
    step = _fault.hint(error)
    if isinstance(error, ModuleNotFoundError):
        return {**place, "message": f"no module named {error.name}", "step": step}
    message = f"{text}, raised while the module was imported"
    return {**place, "message": message,
            "step": step or "the code outside of functions runs once, at build time, without "
                            "config, state and network: move it into a function"}


def _place(error):
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [item for item in frames if _fault.is_authors(item[0].f_code.co_filename)]
    if not own:
        return {"file": "", "line": 0}
    frame, line = own[-1]
    return {"file": frame.f_code.co_filename, "line": line}


def _native(error):
    """Names the package whose native part does not load, if that is the cause."""
    while error is not None:
        for module in _missing(error):
            library = _library(module)
            if library is not None:
                package = module.partition(".")[0]
                return {
                    "message": f"the package {package} has a native part ({library}), which does "
                               "not load in a worker",
                    "step": "use a package that is written in Python only",
                }
        error = error.__cause__ or error.__context__
    return None


def _missing(error):
    name = getattr(error, "name", None)
    if not isinstance(error, ImportError) or not name:
        return []
    part = getattr(error, "name_from", None)
    return [name, f"{name}.{part}"] if part else [name]


def _library(module):
    """Returns the file name of a native module among the author's packages."""
    folder, _, leaf = f"{skep_settings.SITE}/{module.replace('.', '/')}".rpartition("/")
    if not skep_settings.SITE or not os.path.isdir(folder):
        return None
    for name in sorted(os.listdir(folder)):
        if name.split(".")[0] == leaf and name.endswith((".so", ".pyd", ".dylib")):
            return name
    return None
