"""The engine that turns what a call says into words, where there is no reference recording of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from earwitness.audio.transcription import BY_CARRIER, ENGINES, trouble_with
from earwitness.config.fields import Secret, Spec, problem

if TYPE_CHECKING:
    from earwitness.telephony.spec import CallSpec

Engine = Annotated[str, Field(json_schema_extra={"enum": [*ENGINES, BY_CARRIER]})]


class TranscriptionSpec(Spec):
    """`model`: the folder of the engine's model, if it needs one; a relative path starts at the folder of the configuration."""

    engine: Engine
    model: Path | None = None
    language: str = Field(default="en-US", pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")

    @field_validator("model")
    @classmethod
    def _in_folder(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        return value and (info.context or {}).get("folder", Path()) / value

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        trouble = trouble_with(self)
        if trouble:
            key, message = trouble
            raise problem(message, key)
        return self


def too_long_with_transcription(
    call: "CallSpec", transcription: TranscriptionSpec, public_url: str | None
) -> str | None:
    """Return what is wrong with the script of `call` once it begins with what makes the carrier transcribe; None if nothing is."""
    if transcription.engine != BY_CARRIER or call.driver != "recorded" or public_url is None:
        return None
    from earwitness.telephony.switchboard import Switchboard  # noqa: PLC0415 - only where calls are made
    from earwitness.telephony.transcription import Transcription  # noqa: PLC0415
    from earwitness.telephony.twiml import PlanTooLongError, compile_plan  # noqa: PLC0415

    opening = Transcription(transcription).script(Switchboard().open(Secret(""), public_url))
    try:
        compile_plan(call, opening=opening)
    except PlanTooLongError as error:
        return f"with Twilio's transcription, {error}"
    return None
