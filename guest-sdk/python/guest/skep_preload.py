"""The modules that the runner has imported before its snapshot, so that a source that uses them
starts at once. The rest of the standard library is compiled at its first import."""

import importlib

MODULES = """
    abc argparse array ast asyncio base64 binascii bisect calendar cmath codecs collections
    collections.abc concurrent.futures configparser contextlib contextvars copy csv dataclasses
    datetime decimal difflib email email.message email.utils encodings.ascii encodings.idna
    encodings.latin_1 encodings.utf_16 encodings.cp1252 enum fnmatch fractions functools
    glob graphlib gzip hashlib heapq hmac html html.parser http http.cookies inspect io ipaddress
    itertools json keyword linecache locale logging math mimetypes numbers operator os os.path
    pathlib pickle pprint queue random re reprlib sched secrets shlex shutil sqlite3 stat statistics
    string struct sys tempfile textwrap threading time timeit tokenize tomllib traceback types
    typing unicodedata urllib.parse uuid warnings weakref xml.etree.ElementTree zipfile zlib
    zoneinfo _strptime
    skep_guest skep_guest.http
""".split()


def run():
    """Imports them all."""
    for module in MODULES:
        importlib.import_module(module)
