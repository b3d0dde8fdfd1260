"""The main part of the runner: a component without an author, which takes the source from the
read-only directory `/app` when an instance gets its first call: from `/app/VERSION` where the config
names a version under `skep.app`."""

import importlib
import json
import sys

import skep_instance
import skep_modules
import skep_preload
import skep_turns
from skep_guest import _fault
from skep_guest._config import VERSION_KEY
from skep_guest._failure import Failure
from skep_guest._host import host
from skep_guest._worker import marks

APP = "/app"


class App:
    """The author's source, evaluated once per instance."""

    def __init__(self):
        self._evaluated = False
        self._fault = None

    def evaluate(self):
        """Evaluates the source at the first call. Returns the failure of each turn, if it failed."""
        if not self._evaluated:
            self._evaluated = True
            skep_instance.wake()
            try:
                self._import()
            except Failure as failure:
                self._fault = failure
            except BaseException as error:
                self._fault = _fault.failure(error)
            skep_instance.limit_recursion()
        return self._fault

    def _import(self):
        version = host.config_get(VERSION_KEY)
        app = f"{APP}/{version}" if version else APP
        bundle = _bundle(app)
        skep_modules.names.add(app, bundle["source"])
        skep_modules.names.add(f"{app}/{bundle['site']}", "site-packages")
        sys.path[:] = [app, f"{app}/{bundle['site']}"]
        importlib.import_module(bundle["entry"])
        misuses = marks.misuses()
        if misuses:
            raise Failure("exception", "; ".join(str(misuse) for misuse in misuses))


def _bundle(app):
    try:
        with open(f"{app}/skep-bundle.json", encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise Failure("exception", f"the runner needs a bundle in {app}: {error}") from None


app = App()


class Handler:
    """The export `skep:worker/handler`."""

    def handle(self, input):
        fault = app.evaluate()
        if fault is not None:
            raise skep_turns.refused(fault)
        return skep_turns.handle(input)


class Lifecycle:
    """The export `skep:worker/lifecycle`."""

    def connected(self, reason):
        if app.evaluate() is None:
            skep_turns.connected(reason)

    def disconnecting(self):
        if app.evaluate() is None:
            skep_turns.disconnecting()


skep_preload.run()
skep_instance.use_loop()
skep_modules.install()
skep_modules.packed.add("/python", skep_modules.LEFT_OUT)
skep_instance.seal([APP])
