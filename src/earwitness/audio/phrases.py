"""Words that mean something wherever another prompt was expected."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """`errors`: the caller has failed. `no_key`: the far end waited for a key and heard none."""

    errors: tuple[str, ...] = ()
    no_key: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.errors, *self.no_key)
