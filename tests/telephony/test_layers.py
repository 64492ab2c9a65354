"""Which layer of the path one call points to: the number, the IVR, or what is behind it."""

import pytest

from earwitness.audio.script import CallMeasures, CallReport, Result, StepReport
from earwitness.model import Layer
from earwitness.probes.call import CallSpec
from earwitness.telephony.findings import facts, planned

SPEC = CallSpec.model_validate(
    {"to": "+12025550199", "steps": [{"expect": "Welcome"}, {"press": "2"}, {"expect": "Enter"}]}
)
SCRIPT = planned(SPEC.steps, (6, 0, 6))
HEARD = StepReport(SCRIPT[0], Result.OK, at=1.0, end=3.0, delay=1.0)
PRESSED = StepReport(SCRIPT[1], Result.OK, at=6.0, end=6.1)


def layer(*reports):
    measures = CallMeasures(*[0.0] * len(CallMeasures.__dataclass_fields__))
    return facts(SPEC, CallReport(reports, None, 12.0, 1, measures), 12.0)["layer"]


@pytest.mark.parametrize("result", [Result.BUSY, Result.CONGESTED, Result.UNOBTAINABLE, Result.STILL_RINGING])
def test_a_tone_of_the_network_blames_the_number_only_if_it_never_spoke(result):
    assert layer(StepReport(SCRIPT[0], result, at=0.5)) == Layer.NUMBER
    assert layer(HEARD, PRESSED, StepReport(SCRIPT[2], result, at=7.0)) == Layer.BACKEND


def test_sound_that_stops_is_the_path_to_the_number():
    assert layer(HEARD, PRESSED, StepReport(SCRIPT[2], Result.NO_MEDIA, at=6.1)) == Layer.NUMBER
