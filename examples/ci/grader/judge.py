"""Compares what each submission printed with what was wanted, and writes the marks."""

import json
import sys
from xml.sax.saxutils import quoteattr

runs, cases, marks_file, report_file = sys.argv[1:]
marks, report = {}, []
with open(f"{runs}/legs.json") as legs:
    for leg in json.load(legs):
        who, case = leg["matrix"]["who"], leg["matrix"]["case"]
        with open(f"{cases}/{case}.want", "rb") as want, open(f"{runs}/{leg['dir']}/stdout", "rb") as got:
            right = leg["exit_code"] == 0 and got.read() == want.read()
        why = "" if right else leg["outcome"] if leg["outcome"] != "exited" else "wrong answer"
        marks.setdefault(who.removeprefix("subs/"), {})[case] = why or "right"
        inner = f"<failure message={quoteattr(why)}/>" if why else ""
        report.append(f"<testcase classname={quoteattr(who)} name={quoteattr(case)}>{inner}</testcase>")
with open(marks_file, "w") as out:
    json.dump(marks, out, indent=2, sort_keys=True)
with open(report_file, "w") as out:
    out.write("<testsuite name='marks'>" + "".join(report) + "</testsuite>\n")
