"""`make bench`: run every benchmark of this folder, or those named, as in `python -m bench hearing --calls 50`."""

import importlib
import itertools
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(p.stem for p in HERE.glob("bench_*.py"))

arguments = sys.argv[1:]
named = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
options = arguments[len(named) :]
if options and len(named) != 1:
    sys.exit("options belong to one benchmark; name it before them")
for name in [word if word in NAMES else f"bench_{word}" for word in named] or NAMES:
    if name not in NAMES:
        sys.exit(f"there is no {name}; there are {', '.join(NAMES)}")
    module = importlib.import_module(f"bench.{name}")
    print(f"{name}: {module.__doc__.splitlines()[0]}")
    for row in module.measure(options) if options else module.measure():
        print("  {:<58} {:>14}".format(*row))
