"""Loading 10,000 probes with positions for every error, against PyYAML's own safe loader, which checks nothing."""

import tempfile
import time
from pathlib import Path

import yaml

from earwitness.config.load import load_config

PROBES = 10_000
LIMIT = 1.5  # seconds, the goal


def measure():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "earwitness.yaml"
        path.write_text(_config())
        ours = min(_cpu(lambda: load_config(path, {})) for _ in range(3))
        peer = min(_cpu(lambda: yaml.load(path.read_text(), Loader=yaml.CSafeLoader)) for _ in range(3))
    yield f"load_config, {PROBES:,} probes (goal: under {LIMIT} s)", f"{ours:.2f} s CPU"
    yield "yaml.CSafeLoader, the same file, nothing checked", f"{peer:.2f} s CPU"
    yield "ratio", f"{ours / peer:.2f}"


def _config():
    head = "environment: production\njourneys:\n  shop: {title: Shop}\nprobes:\n"
    probe = (
        "  p{0}:\n    journey: shop\n    every: 1m\n    http:\n"
        "      url: https://shop.example/{0}\n      expect: {{status: 200}}\n"
    )
    return head + "".join(probe.format(n) for n in range(PROBES))


def _cpu(work):
    start = time.process_time()
    work()
    return time.process_time() - start
