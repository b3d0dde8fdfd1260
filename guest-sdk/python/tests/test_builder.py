"""Tests of the build program: what it says about mistakes before anything is built, and bundles."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from builder import options, source, world
from builder.main import main

GOOD = "from skep_guest import Input, worker\n\n\n@worker\ndef handle(input: Input) -> str:\n    return ''\n"


class BuilderTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.project = Path(folder.name)
        self.write("src/worker.py", GOOD)

    def write(self, name: str, text: str) -> None:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run_main(self, *arguments: str) -> tuple[int, str]:
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            code = main(["--project", str(self.project), *arguments])
        return code, errors.getvalue()

    def bundle(self) -> tuple[int, str]:
        return self.run_main("--bundle-only", str(self.project / ".skep" / "app"))

    def assert_fault(self, worker: str, *parts: str) -> None:
        self.write("src/worker.py", worker)
        code, text = self.bundle()
        self.assertEqual(code, 1, text)
        for part in parts:
            self.assertIn(part, text)
        self.assertNotIn("Traceback", text)
        self.assertFalse((self.project / ".skep" / "app" / "worker.py").exists())

    def test_the_kind_decides_which_mark_is_needed(self) -> None:
        web = "from skep_guest import Request, web\n\n\n@web\ndef respond(request: Request) -> str:\n    return ''\n"
        self.write("src/worker.py", web)
        code, text = self.bundle()
        self.assertEqual(code, 1)
        self.assertIn('no function is marked @worker\n  next: with @web, set kind = "web" in', text)
        folder = str(self.project / ".skep" / "app")
        self.assertEqual(self.run_main("--bundle-only", folder, "--kind", "web"), (0, ""))
        self.write("src/worker.py", GOOD)
        code, text = self.run_main("--bundle-only", folder, "--kind", "web")
        self.assertIn('no function is marked @web\n  next: with @worker, set kind = "service"', text)
        self.write("src/worker.py", "from skep_guest import web\n\n\n@web\ndef respond() -> str:\n    return ''\n")
        code, text = self.run_main("--bundle-only", folder, "--kind", "web")
        self.assertIn("a function marked @web takes one parameter, the Request", text)

    def test_a_syntax_error(self) -> None:
        self.assert_fault("x = (\n", "src/worker.py:1:5: error: SyntaxError: '(' was never closed")

    def test_a_tab_among_spaces(self) -> None:
        self.assert_fault("if 1:\n    x = 1\n\ty = 2\n", "src/worker.py:3:", "error: TabError")

    def test_a_missing_module(self) -> None:
        self.assert_fault("import json\nimport requests\n" + GOOD,
                          "src/worker.py:2:1: error: no module named requests", "requirements.txt")

    def test_a_module_that_python_no_longer_has(self) -> None:
        self.assert_fault("import imp\n" + GOOD, "src/worker.py:1:1: error: no module named imp",
                          "Python 3.14")

    def test_no_worker(self) -> None:
        self.assert_fault("def handle(input):\n    return ''\n",
                          "src/worker.py:1:1: error: no function is marked @worker")

    def test_two_workers(self) -> None:
        self.assert_fault(GOOD + "\n\n@worker\ndef other(input: Input) -> str:\n    return ''\n",
                          "src/worker.py:10:1: error: other is marked @worker, and so is handle "
                          "(src/worker.py:5)")

    def test_wrong_parameters(self) -> None:
        for parameters in ("", "a, b", "*, a", "a, *, b"):
            with self.subTest(parameters=parameters):
                self.assert_fault(GOOD.replace("input: Input", parameters),
                                  f"src/worker.py:5:1: error: handle({parameters}) cannot be called",
                                  "takes one parameter, the Input")

    def test_no_entry(self) -> None:
        (self.project / "src" / "worker.py").unlink()
        code, text = self.bundle()
        self.assertEqual(code, 1)
        self.assertIn("error: the entry src/worker.py is not there", text)

    def test_what_is_fine(self) -> None:
        for parameters in ("input", "input, more=1", "*all", "input, /", "input, *, a=1"):
            self.write("src/worker.py", GOOD.replace("input: Input", parameters))
            self.assertEqual(self.bundle(), (0, ""), parameters)
        fine = "try:\n    import orjson\nexcept ImportError:\n    orjson = None\nimport other, pack.sub\n"
        self.write("src/worker.py", fine + "import skep_guest\nfrom . import other\n" + GOOD)
        self.write("src/other.py", "")
        self.write("src/pack/sub.py", "")
        self.assertEqual(self.bundle(), (0, ""))

    def test_a_package_that_is_installed(self) -> None:
        self.write(".skep/tools/python-site/six.py", "")
        self.write("src/worker.py", "import six\n" + GOOD)
        self.assertEqual(self.bundle(), (0, ""))
        self.assertTrue((self.project / ".skep/app/site-packages/six.py").is_file())

    def test_a_bundle_follows_the_source(self) -> None:
        self.write("src/old.py", "")
        self.write("src/data.txt", "data")
        self.assertEqual(self.bundle(), (0, ""))
        app = self.project / ".skep" / "app"
        self.assertEqual(sorted(p.name for p in app.iterdir()),
                         ["data.txt", "old.py", "skep-bundle.json", "worker.py"])
        self.assertEqual(json.loads((app / "skep-bundle.json").read_text()),
                         {"entry": "worker", "source": "src", "site": "site-packages"})
        (self.project / "src" / "old.py").unlink()
        self.write("src/worker.py", GOOD + "# new\n")
        self.assertEqual(self.bundle(), (0, ""))
        self.assertFalse((app / "old.py").exists())
        self.assertIn("# new", (app / "worker.py").read_text())

    def test_a_mistake_leaves_the_bundle_alone(self) -> None:
        self.assertEqual(self.bundle(), (0, ""))
        self.write("src/worker.py", "x = (\n")
        self.assertEqual(self.bundle()[0], 1)
        self.assertEqual((self.project / ".skep/app/worker.py").read_text(), GOOD)

    def test_a_folder_that_is_no_bundle_is_left_alone(self) -> None:
        self.write("precious/file", "")
        code, text = self.run_main("--bundle-only", str(self.project / "precious"))
        self.assertEqual(code, 1)
        self.assertIn("is not empty and is no bundle", text)

    def test_the_world_has_what_the_source_uses(self) -> None:
        for line, http, hooks in (("", False, False), ("from skep_guest import http", True, False),
                                  ("import skep_guest.http", True, False),
                                  ("from skep_guest import connected", False, True),
                                  ("import skep_guest\nx = skep_guest.disconnecting", False, True)):
            self.write("src/worker.py", f"{line}\n{GOOD}")
            given = options.parse(["--project", str(self.project), "--bundle-only", "x"])
            read = source.read(given)
            self.assertEqual((read.uses_http, read.has_hooks), (http, hooks), line)

    def test_a_world(self) -> None:
        self.write("wit/world.wit", "package skep:worker@0.1.0;\n")
        self.write("wit/fetch.wit", "")
        folder = world.write(self.project / "wit", self.project / "made", "service", True, True)
        text = (folder / "python-worker.wit").read_text()
        self.assertIn("include worker;\n  import fetch;\n  export lifecycle;", text)


if __name__ == "__main__":
    unittest.main()
