"""What goes on beside the work."""

from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError
from virtual import VirtualClock

from earwitness.housekeeping import Housekeeping
from earwitness.impairments import Impairments


class TwoClocks(VirtualClock):
    """The wall clock can be set; the other goes on."""

    ahead = 0.0

    def now(self):
        return self.moment + self.ahead


@pytest.fixture
def house(tmp_path):
    fine = SimpleNamespace(failing=False, confused=False)
    return SimpleNamespace(
        clock=TwoClocks(),
        evidence=SimpleNamespace(folder=tmp_path),
        commit=fine,
        dispatcher=fine,
        impairments=Impairments(lambda _part, _bad: None),
        config=SimpleNamespace(carriers={}),
    )


async def test_a_clock_set_back_is_seen_to_until_the_store_takes_it(house):
    refusals, seen_to = [OperationalError("UPDATE", {}, Exception("disk full"))], []

    async def on_clock_set_back():
        if refusals:
            raise refusals.pop()
        seen_to.append(house.clock.now())

    housekeeping = Housekeeping(house, on_clock_set_back)
    await housekeeping._look_after()
    house.clock.ahead = -600
    with pytest.raises(OperationalError):
        await housekeeping._look_after()
    for _beat in range(3):
        house.clock.moment += 1
        await housekeeping._look_after()
    assert len(seen_to) == 1
