"""Logging: one JSON object a line, one stable `event` key, and no secret of the configuration in it."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from earwitness.config.fields import Secret, Spec
from earwitness.config.schema import Config
from earwitness.transport.spelling import needles, without

_SHORTEST = 4  # characters; masking shorter secrets would mask half the log
_MASK = "<secret>"
_PLAIN = frozenset({str, int, float, bool, type(None)})  # types of most settings, which hold no secret
_TELLING = re.compile(r"TOKEN|SECRET|PASS|KEY|CARD|PIN$|AUTH|CREDENTIAL", re.IGNORECASE)


class SecretMask:
    """Replaces the configuration's secrets, however they are spelled, in whatever is about to be written."""

    def __init__(self) -> None:
        self._sought: set[str] = set()

    def learn(self, config: Config) -> None:
        """Know this configuration's secrets too; those of earlier ones stay masked."""
        self._seek(secrets_of(config))

    def learn_environment(self, environment: Mapping[str, str]) -> None:
        """Know the values of variables whose names say that they are secret, wherever the configuration puts them."""
        self._seek(value for name, value in environment.items() if _TELLING.search(name) and len(value) >= _SHORTEST)

    def _seek(self, secrets: Iterable[str]) -> None:
        spelled = (needle for secret in secrets for needle in needles(secret) if len(needle) >= _SHORTEST)
        self._sought.update(spelled)

    def text(self, text: str) -> str:
        return without(text, self._sought, _MASK)

    def __call__(self, _logger: object, _name: str, line: str) -> str:
        return self.text(line)


def secrets_of(config: Config) -> Iterable[str]:
    """Yield every secret that is long enough to be told from ordinary words."""
    return secrets_in(config.http, *config.carriers.values(), *config.hooks.values(), *config.probes.values())


def secrets_in(*of: object) -> Iterable[str]:
    """Yield the secrets of these sections that are long enough to be told from ordinary words."""
    sections: list[Any] = list(of)
    while sections:
        section = sections.pop()
        if isinstance(section, Secret):
            if len(section.reveal()) >= _SHORTEST:
                yield section.reveal()
        elif isinstance(section, Spec):
            sections += [value for value in vars(section).values() if type(value) not in _PLAIN]
        elif isinstance(section, Mapping):
            sections += section.values()
        elif isinstance(section, tuple):
            sections += section


def set_up_logs(mask: SecretMask, level: str = "INFO") -> None:
    """Write structured logs to standard error, ours and the libraries' alike."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render: list[Any] = [structlog.processors.JSONRenderer(ensure_ascii=False), mask]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
