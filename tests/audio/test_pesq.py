"""The optional second opinion: what is said without its package, and what it says with it."""

import importlib.util

import numpy as np
import pytest
from lines import SPEECH
from murmurs import RATE, lossy, placed, telephone

from earwitness.audio.fingerprint import fingerprint
from earwitness.audio.match import NO_MATCH, Heard, find
from earwitness.audio.pesq import PesqError, is_installed, listening_quality

PROMPT = SPEECH["welcome"]
LINE = np.asarray(telephone(placed([(1.0, PROMPT)], len(PROMPT) / RATE + 2)), np.float32)


def found(line):
    return find(fingerprint(PROMPT), PROMPT, Heard(line, fingerprint(line)))


if importlib.util.find_spec("pesq") is None:

    def test_without_the_package_it_is_said_how_to_get_it():
        assert not is_installed()
        with pytest.raises(PesqError, match=r"pip install 'earwitness\[pesq\]'"):
            listening_quality(PROMPT, LINE, found(LINE))

else:

    def test_a_clean_line_is_good_and_a_lossy_one_is_worse():
        lost = lossy(LINE, 0.1, 1).astype(np.float32)
        assert listening_quality(PROMPT, LINE, found(LINE)) > 3.5
        assert listening_quality(PROMPT, lost, found(lost)) < 3

    def test_what_was_not_recognised_has_no_score():
        with pytest.raises(PesqError, match="not heard whole"):
            listening_quality(PROMPT, LINE, NO_MATCH)
