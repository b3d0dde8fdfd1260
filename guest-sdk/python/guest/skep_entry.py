"""The beginning of a built component. While it is built, this module imports the author's source, whose
state becomes the snapshot from which every instance starts. The module of the exports imports this one,
and seals it at its end."""

import importlib
import inspect
import json
import sys

import skep_modules
import skep_settings

BUILD = "/0"
sys.stdout = sys.stderr = open(f"{BUILD}/output.txt", "w", encoding="utf-8", errors="backslashreplace")


def _report(faults):
    with open(f"{BUILD}/report.json", "w", encoding="utf-8") as file:
        json.dump(faults, file)
    sys.stdout = sys.stderr = None  # the report says it all
    raise ImportError("the worker cannot be built; see the report")


def _import_worker():
    from skep_guest import _fault

    try:
        importlib.import_module(skep_settings.ENTRY)
    except BaseException as error:
        import skep_diagnosis

        _fault.print_traceback(error)
        _report([skep_diagnosis.fault(error)])


def _check_marks():
    from skep_guest._worker import marks

    misuses = marks.misuses("web" if skep_settings.KIND == "web" else "worker")
    if misuses:
        _report([{"file": m.file, "line": m.line, "message": m.message} for m in misuses])
    hooks = [mark for mark in ("connected", "disconnecting") if marks.get(mark)]
    if hooks and not skep_settings.LIFECYCLE:
        _report([{"lifecycle": True}])


def _import_later():
    """Imports what the author's functions import when they are called: it is faster now."""
    for module, imports in skep_settings.IMPORTS.items():
        for name in imports if module in sys.modules else ():
            try:
                importlib.import_module(name)
            except BaseException:
                pass  # the function that needs it will say so


def _uses_loop():
    from skep_guest._worker import marks

    functions = [f for functions in marks.functions.values() for f in functions]
    return "asyncio" in sys.modules or any(map(inspect.iscoroutinefunction, functions))


for folder, name in skep_settings.NAMES.items():
    skep_modules.names.add(folder, name)
skep_modules.install()
if skep_settings.ASYNC:
    from skep_guest import _loop

    _loop.install()
_import_worker()
_check_marks()
_import_later()

import skep_instance

if _uses_loop():
    skep_instance.use_loop()
for folder in skep_settings.NAMES:
    skep_modules.packed.add(folder)
    skep_modules.packed.add_files(folder)
skep_modules.packed.add("/python", skep_modules.LEFT_OUT)

_woken = False


def wake():
    """Prepares this instance, before its first call."""
    global _woken
    if not _woken:
        _woken = True
        skep_instance.wake()


def seal():
    """Ends the build: what follows is the snapshot."""
    sys.stdout.close()
    skep_instance.seal([])
    skep_instance.limit_recursion()
