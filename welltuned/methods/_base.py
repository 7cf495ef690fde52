"""What a fine-tuning method is: one file, one frozen config, one class with these members.

A file in this folder holds the paper and its equation in the docstring, a config derived from
:class:`MethodConfig`, and exactly one class derived from :class:`Method`. Nothing outside that file names it: the
command line, reports, default searches and the conformance suite find it by the file's name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from welltuned.encoders import Encoder
from welltuned.errors import DataError
from welltuned.shapes import Shape


class MethodConfig(BaseModel):
    """Base of a method's own fields; frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


Fields = TypeVar("Fields", bound=MethodConfig)


@dataclass(frozen=True)
class Choice:
    """A hyperparameter that takes one of these values."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """A hyperparameter between two bounds, on a logarithmic scale if ``log``, in whole numbers if ``whole``."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Defaults:
    """Where a method starts when the user says nothing: peak learning rate and epochs."""

    lr: float
    epochs: int = 3


class Method(ABC, Generic[Fields]):
    """A way of adapting an encoder.

    Attributes:
        Config: the class of the method's own fields.
        defaults: learning rate and epochs where the user gives none.
        search_space: hyperparameters worth searching, by name of a config field or of a training option.
        tiny: config values for tests on tiny models.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    defaults: ClassVar[Defaults]
    search_space: ClassVar[Mapping[str, Choice | Range]]
    tiny: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, config: Fields) -> None:
        self.config = config

    @abstractmethod
    def attach(self, encoder: Encoder) -> None:
        """Put the method's own tensors into the encoder and make trainable exactly what it trains."""

    @abstractmethod
    def frontier(self, shape: Shape) -> int:
        """The first block that training can change or see differently.

        Everything below is a constant function of the input. ``shape.layers`` where only the head trains, 0 where
        anything before the first block can change.
        """

    @abstractmethod
    def ledger(self, shape: Shape) -> dict[str, int]:
        """The number of trainable parameters in closed form, part by part."""

    def positions(self) -> int:
        """Positions that the method takes up in front of every row."""
        return 0

    def merge(self, encoder: Encoder) -> bool:  # noqa: ARG002
        """Fold the method into the encoder's own weights; False where that cannot be done.

        After True the encoder is of the stock structure and gives the same logits.
        """
        return False

    def export_adapter(self, encoder: Encoder, folder: Path, base: str) -> None:
        """Write the trained tensors in a form of their own that others open, where the method has one.

        Args:
            folder: to be made, if anything is written.
            base: the name of the pretrained model they go onto.
        """

    def state(self, encoder: Encoder) -> dict[str, Tensor]:
        """Copies of the trained tensors in main memory, by parameter name."""
        return {
            name: parameter.detach().to("cpu", copy=True)
            for name, parameter in encoder.named_parameters()
            if parameter.requires_grad
        }

    def load_state(self, encoder: Encoder, state: Mapping[str, Tensor]) -> None:
        """Write tensors of :meth:`state` back into an encoder that the method is attached to.

        Raises:
            DataError: a tensor is missing, surplus or of another shape.
        """
        own = {name: parameter for name, parameter in encoder.named_parameters() if parameter.requires_grad}
        if own.keys() != state.keys():
            odd = sorted(own.keys() ^ state.keys())
            raise DataError(f"the stored state does not fit the method: {odd[0]} is missing or surplus")
        for name, parameter in own.items():
            if parameter.shape != state[name].shape:
                raise DataError(f"the stored state does not fit the method: {name} has another shape")
            with torch.no_grad():
                parameter.copy_(state[name])


def freeze_backbone(encoder: Encoder) -> None:
    """Leave only the head trainable."""
    encoder.requires_grad_(False)
    encoder.head.requires_grad_(True)
