"""What every record shares: the schema's version, and refusal of fields that it does not know."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

SCHEMA = 1


class Schema(BaseModel):
    """Base of all records; infinities and NaN are written as such."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), ser_json_inf_nan="constants")
