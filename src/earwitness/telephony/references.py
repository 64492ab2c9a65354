"""Which texts of a call have no reference recording, so that nobody could tell whether they were said. Loads no numpy."""

from pathlib import Path

from earwitness.audio.words import having_words, normalise, texts_in
from earwitness.telephony.spec import CallSpec


def unchecked_texts(spec: CallSpec, folder: Path | None) -> list[str]:
    """Return the texts of `expect` and `misroute` that no recording in `folder` holds, in the order of the steps.

    Raises PromptError when the folder cannot be read.
    """
    known = [normalise(text) for text in texts_in(folder)]
    wanted = dict.fromkeys(text for step in spec.steps for text in (*step.texts, *step.misroute_texts))
    return [text for text in wanted if not having_words(text, known, str)]
