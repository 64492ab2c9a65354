"""A shop on the system's nginx with TLS, one server a probe, whose answers can be changed while it runs."""

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from daemon import PATIENCE
from web_servers import free_port, issued

GOOD = 'return 200 "Payment accepted";'
HOST, LOST_HOST = "shop.test", "lost.test"


@dataclass
class Stand:
    """One server of the shop: what it answers (None: it is closed) and with which certificate."""

    port: int
    answer: str | None = GOOD
    certificate: str = "good"


class NginxShop:
    """Change `stands`, then `reload()`."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder = folder
        self.stands = {name: Stand(free_port()) for name in names}
        authority, now = trustme.CA(), datetime.now(UTC)
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.certificates = {
            "good": folder / "good.pem",
            "expiring": issued(folder, authority, HOST, now + timedelta(days=3), "expiring"),
            "other": issued(folder, authority, "other.test", now + timedelta(days=90), "other"),
        }
        authority.issue_cert(HOST, LOST_HOST).private_key_and_cert_chain_pem.write_to_path(str(folder / "good.pem"))
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, name: str) -> str:
        return f"https://{HOST}:{self.stands[name].port}/pay"

    def write(self) -> Path:
        paths = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in _TEMPORARY)
        servers = "\n".join(self._server(stand) for stand in self.stands.values() if stand.answer)
        user = "user root;\n" if os.geteuid() == 0 else ""  # so that its workers can read this folder
        file = self.folder / "nginx.conf"
        file.write_text(
            f"daemon off; worker_processes 1; {user}pid {self.folder}/nginx.pid; error_log {self.folder}/error.log;\n"
            f"events {{}}\nhttp {{ access_log off; default_type text/plain;\n{paths}{servers}\n}}\n"
        )
        return file

    def _server(self, stand: Stand) -> str:
        pem = self.certificates[stand.certificate]
        return (
            f"server {{ listen 127.0.0.1:{stand.port} ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; "
            f"location / {{ {stand.answer} }} }}"
        )

    def reload(self) -> None:
        self.write()
        self.process.send_signal(signal.SIGHUP)


_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def nginx_shop(folder: Path, names: list[str]):
    """Yield the running shop; without nginx, skip, or fail in a pipeline."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("nginx is not installed")
    shop = NginxShop(folder, names)
    shop.process = subprocess.Popen([program, "-c", str(shop.write()), "-p", str(folder)], stderr=subprocess.PIPE)
    try:
        yield shop
    finally:
        shop.process.terminate()
        shop.process.communicate(timeout=PATIENCE)
