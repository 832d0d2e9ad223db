"""What all sections of a recipe are made of: strict numbers, and settings that refuse unknown names."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shotsmith.recipe.retired import without_retired

# Strict: YAML's yes and 3.0 are no counts. Bounded: a number beyond is a slip, and nothing could be made of it.
MANY = 1_000_000_000
Natural = Annotated[int, Field(strict=True, ge=0, le=MANY)]
Count = Annotated[int, Field(strict=True, ge=1, le=MANY)]
Several = Annotated[int, Field(strict=True, ge=2, le=MANY)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=1 << 63)]
Epochs = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Width = Annotated[int, Field(strict=True, ge=1, le=16_384)]
"""Columns of a weight."""
Layers = Annotated[int, Field(strict=True, ge=0, le=64)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
NonNegative = Annotated[float, Field(ge=0, le=1e12)]
Shots = Count
"""Demonstrations of a prompt: as many as the VLM's context and the bank hold."""
Lengths = Annotated[tuple[Shots, ...], Field(min_length=1)]


class Settings(BaseModel):
    """Base of all sections: frozen, strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _without_retired(cls, value: Any) -> Any:
        return without_retired(cls, value) if isinstance(value, dict) else value

    def is_set(self, name: str) -> bool:
        """Whether the recipe sets this field itself.

        A resolved recipe writes out every field: there, a field counts as set where it differs from its default.
        """
        fields = type(self).model_fields
        if self.model_fields_set >= fields.keys():
            return bool(getattr(self, name) != fields[name].get_default(call_default_factory=True))
        return name in self.model_fields_set
