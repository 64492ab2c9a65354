import pytest
from judge_world import World, rules_of

from earwitness.model import Evidence


@pytest.fixture
def world():
    return lambda *args, **kwargs: World(rules_of(*args, **kwargs))


@pytest.fixture
def recording():
    return Evidence("recording", "audio/wav", "a" * 64, 10, "call.wav")
