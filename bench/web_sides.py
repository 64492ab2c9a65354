"""Both sides of the web benchmark on one target: our daemon, and Debian's blackbox exporter scraped by its Prometheus."""

import contextlib
import os
import re
import shutil
import socket
import sys
import sysconfig
from pathlib import Path

import trustme
import yaml
from prometheus_client.parser import text_string_to_metric_families

import earwitness
from bench.web_processes import Process, fetch

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_TEXT = "Payment accepted"
_PACKAGES = os.pathsep.join([str(Path(earwitness.__file__).parents[1]), sysconfig.get_path("purelib")])


def missing_programs():
    """The programs of the comparison that are not installed."""
    return [name for name in ("nginx", "prometheus", "prometheus-blackbox-exporter") if _program(name) is None]


def _program(name):
    return shutil.which(name, path=_PATH)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Target:
    """A shop on nginx, by http and https, that counts its requests."""

    def __init__(self, folder):
        self.folder = folder
        self._plain, self._secure = free_port(), free_port()
        authority = trustme.CA()
        self.ca_file, pem = folder / "ca.pem", folder / "shop.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        shop = f'location /pay {{ return 200 "{_TEXT}"; }} location = /count {{ stub_status; }}'
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
            f"events {{ worker_connections 4096; }}\nhttp {{ access_log off; default_type text/plain;\n{paths}"
            f"server {{ listen 127.0.0.1:{self._plain} backlog=2048; {shop} }}\n"
            f"server {{ listen 127.0.0.1:{self._secure} ssl backlog=2048; ssl_certificate {pem}; "
            f"ssl_certificate_key {pem}; {shop} }} }}\n"
        )
        self._process = Process(folder, _program("nginx"), "-c", folder / "nginx.conf", "-p", folder)
        self._process.ready(f"http://127.0.0.1:{self._plain}/count")

    def urls(self, scheme, number):
        port = self._secure if scheme == "https" else self._plain
        return [f"{scheme}://127.0.0.1:{port}/pay/{n}" for n in range(number)]

    def served(self):
        """How many requests it has answered until now."""
        return int(re.search(r"\d+\s+\d+\s+(\d+)", fetch(f"http://127.0.0.1:{self._plain}/count"))[1])

    def stop(self):
        self._process.stop()


class Daemon:
    """Earwitness with a probe for each URL, and `dead` more whose name server never answers.

    `python` may be another interpreter of this version; it uses the packages of the one that runs the benchmark.
    """

    name = "earwitness"

    def __init__(self, folder, target, urls, every, *, dead=0, python=sys.executable):
        folder.mkdir()
        port, self._hole = free_port(), socket.socket(type=socket.SOCK_DGRAM)
        self._hole.bind(("127.0.0.1", 0))
        probes = {
            f"shop-{n}": {"every": f"{every}s", "http": {"url": url, "timeout": "0.9s", "expect": {"body": _TEXT}}}
            for n, url in enumerate(urls)
        }
        nobody = f"127.0.0.1:{self._hole.getsockname()[1]}"
        for n in range(dead):
            http = {"url": f"http://shop-{n}.test/", "resolver": nobody, "timeout": "4.9s"}
            probes[f"dead-{n}"] = {"every": "5s", "http": http}
        config = {
            "environment": "production",
            "http": {"listen": f"127.0.0.1:{port}"},
            "network": {"allow": ["127.0.0.0/8"], "ca_file": str(target.ca_file)},
            "journeys": {"pay": {}},
            "probes": {name: {"journey": "pay", **probe} for name, probe in probes.items()},
        }
        file = folder / "earwitness.yaml"
        file.write_text(yaml.safe_dump(config))
        program = [python, "-m", "earwitness", "run", "--config", file, "--data-dir", folder / "data"]
        self._url = f"http://127.0.0.1:{port}"
        self.processes = [Process(folder, *program, PYTHONPATH=_PACKAGES)]
        self.start_seconds = self.processes[0].ready(f"{self._url}/readyz")

    def lateness(self):
        """Return {upper bound in seconds: runs so far that began within it of their slot}."""
        families = text_string_to_metric_families(fetch(f"{self._url}/metrics"))
        buckets = {}
        for sample in (
            s for f in families for s in f.samples if s.name == "earwitness_schedule_lateness_seconds_bucket"
        ):
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
        return buckets

    def stop(self):
        for process in self.processes:
            process.stop()
        self._hole.close()


class Pair:
    """The blackbox exporter, and a Prometheus that has it probe each URL and stores what it says."""

    name = "blackbox_exporter + prometheus"

    def __init__(self, folder, target, urls, every):
        folder.mkdir()
        port, exporter = free_port(), free_port()
        http = {"preferred_ip_protocol": "ip4", "fail_if_body_not_matches_regexp": [_TEXT]}
        http["tls_config"] = {"ca_file": str(target.ca_file)}
        module = {"prober": "http", "timeout": "4s", "http": http}
        (folder / "blackbox.yml").write_text(yaml.safe_dump({"modules": {"shop": module}}))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(_scraping(urls, every, exporter)))
        self.processes = [
            Process(
                folder,
                _program("prometheus-blackbox-exporter"),
                f"--config.file={folder / 'blackbox.yml'}",
                f"--web.listen-address=127.0.0.1:{exporter}",
                "--log.level=error",
            ),
            Process(
                folder,
                _program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=error",
            ),
        ]
        self.processes[0].ready(f"http://127.0.0.1:{exporter}/-/healthy")
        self.start_seconds = self.processes[1].ready(f"http://127.0.0.1:{port}/-/ready")

    def stop(self):
        for process in self.processes:
            process.stop()


def _scraping(urls, every, exporter):
    relabel = [
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"source_labels": ["__param_target"], "target_label": "instance"},
        {"target_label": "__address__", "replacement": f"127.0.0.1:{exporter}"},
    ]
    job = {"job_name": "shop", "metrics_path": "/probe", "params": {"module": ["shop"]}, "relabel_configs": relabel}
    job |= {"scrape_interval": f"{every}s", "scrape_timeout": f"{every}s", "static_configs": [{"targets": urls}]}
    return {"scrape_configs": [job]}


@contextlib.contextmanager
def stage(folder):
    """Yield the running target; its files are in the folder."""
    target = Target(Path(folder))
    try:
        yield target
    finally:
        target.stop()
