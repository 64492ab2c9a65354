"""The engine that turns what a call says into words, where there is no reference recording of it."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from earwitness.audio.transcription import BY_CARRIER, ENGINES, trouble_with
from earwitness.config.fields import Spec, problem

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
