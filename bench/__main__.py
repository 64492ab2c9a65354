"""`make bench`: run every benchmark of this folder, or those named."""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(p.stem for p in HERE.glob("bench_*.py"))

for name in sys.argv[1:] or NAMES:
    module = importlib.import_module(f"bench.{name}")
    print(f"{name}: {module.__doc__.splitlines()[0]}")
    for row in module.measure():
        print("  {:<58} {:>14}".format(*row))
