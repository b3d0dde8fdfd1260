"""Builds a worker written in Python. `skep build` calls this program with the Python of its tools:

    python build.py --project DIR --entry src/worker.py --out FILE --wit DIR --tools DIR
    python build.py … --bundle-only DIR    writes the source tree that the runner reads
    python build.py --runner --out FILE --wit DIR --tools DIR    builds the runner
"""

import sys

if sys.version_info < (3, 11):
    sys.exit("error: building a Python worker needs Python 3.11 or later, this is "
             f"{sys.version.split()[0]}; install a newer one")
sys.dont_write_bytecode = True

from builder.main import main

sys.exit(main(sys.argv[1:]))
