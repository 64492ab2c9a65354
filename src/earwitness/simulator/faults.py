"""The fault switches: what is broken now."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from earwitness.simulator.fault import Parameters
from earwitness.simulator.fault_list import FAULTS


class UnknownFaultError(LookupError):
    """There is no fault of that name. `nearest` holds names that look like it."""

    def __init__(self, name: str) -> None:
        self.nearest = difflib.get_close_matches(name, FAULTS, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(self.nearest)}?" if self.nearest else "; GET /faults lists them all"
        super().__init__(f"no fault is called {name!r}{hint}")


@dataclass(frozen=True, slots=True)
class ActiveFaults:
    """The faults of one moment, with their parameters."""

    active: Mapping[str, Parameters] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        if name not in FAULTS:
            raise UnknownFaultError(name)
        return name in self.active

    def number(self, name: str, parameter: str) -> float:
        """Return a parameter of an active fault."""
        value = self.active[name][parameter]
        assert isinstance(value, int | float)
        return float(value)

    def word(self, name: str, parameter: str) -> str:
        """Return a parameter of an active fault."""
        return str(self.active[name][parameter])

    def only(self, names: frozenset[str]) -> "ActiveFaults":
        return ActiveFaults({name: given for name, given in self.active.items() if name in names})


class FaultBoard:
    """The switches. What is on holds for every request, and for every call placed while it is on."""

    def __init__(self) -> None:
        self._active: dict[str, Parameters] = {}

    def now(self) -> ActiveFaults:
        return ActiveFaults(dict(self._active))

    def turn_on(self, name: str, given: Mapping[str, object] | None = None) -> Parameters:
        """Return the parameters in force. Raises UnknownFaultError, FaultError."""
        if name not in FAULTS:
            raise UnknownFaultError(name)
        self._active[name] = FAULTS[name].parameters(given or {})
        return self._active[name]

    def turn_off(self, name: str) -> None:
        """Turn a fault off; one that is not on stays off. Raises UnknownFaultError."""
        if name not in FAULTS:
            raise UnknownFaultError(name)
        self._active.pop(name, None)
