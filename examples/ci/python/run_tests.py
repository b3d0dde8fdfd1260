"""Runs the tests of /tests and writes a JUnit report."""

import sys
import unittest
from xml.sax.saxutils import quoteattr

sys.path.insert(0, "/")


class Report(unittest.TestResult):
    """Collects a line for each test."""

    def __init__(self):
        super().__init__()
        self.cases = []

    def add(self, test, inner=""):
        kind, _, name = test.id().rpartition(".")
        self.cases.append(
            f"<testcase classname={quoteattr(kind)} name={quoteattr(name)}>{inner}</testcase>"
        )

    def addSuccess(self, test):
        self.add(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        print("FAIL", test.id(), err[1], file=sys.stderr)
        self.add(test, f"<failure message={quoteattr(str(err[1]))}/>")

    addError = addFailure

    def addSkip(self, test, reason):
        self.add(test, "<skipped/>")


report = Report()
unittest.defaultTestLoader.discover("/tests", top_level_dir="/").run(report)
with open(sys.argv[1], "w") as out:
    out.write("<testsuite name='calc'>" + "".join(report.cases) + "</testsuite>\n")
sys.exit(0 if report.wasSuccessful() else 1)
