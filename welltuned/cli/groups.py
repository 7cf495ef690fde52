"""Groups of options that commands share, and how a group in a command's signature becomes single options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from welltuned.cli import options
from welltuned.cli.completion import with_completion

if TYPE_CHECKING:
    from welltuned.checkpoints import Saving
    from welltuned.spec import ComputeSpec, DataSpec, ModelSpec


@dataclass(frozen=True)
class ColumnOptions:
    """Which columns are read, and how rows are split."""

    text: options.Text = None
    text_pair: options.TextPair = None
    label: options.Label = None
    split: options.Split = "given"
    split_seed: options.SplitSeed = 0


@dataclass(frozen=True)
class SampleOptions:
    """How many rows of each split are kept."""

    max_train_samples: options.MaxTrain = None
    max_eval_samples: options.MaxEval = None
    max_predict_samples: options.MaxPredict = None


@dataclass(frozen=True)
class TrainOptions:
    """How to train."""

    lr: options.LearningRate = None
    epochs: options.Epochs = None
    batch_size: options.BatchSize = 32
    eval_batch_size: options.EvalBatchSize = 64
    weight_decay: options.WeightDecay = 0.01
    warmup_ratio: options.WarmupRatio = 0.06
    warmup_steps: options.WarmupSteps = None
    schedule: options.Schedule = "linear"
    patience: options.Patience = None


@dataclass(frozen=True)
class OptimizerOptions:
    """How weights follow their gradients."""

    lr: options.LearningRate = None
    weight_decay: options.WeightDecay = 0.01
    warmup_ratio: options.WarmupRatio = 0.06
    warmup_steps: options.WarmupSteps = None
    schedule: options.Schedule = "linear"


@dataclass(frozen=True)
class SaveOptions:
    """When a training is saved, and what is done where it diverges."""

    save_steps: options.SaveSteps = None
    save_minutes: options.SaveMinutes = 5.0
    save_total_limit: options.SaveTotalLimit = 2
    on_divergence: options.OnDivergence = "stop"

    def saving(self) -> Saving:
        """As trainings take it."""
        from welltuned.checkpoints import Saving
        from welltuned.errors import UsageError

        if self.on_divergence not in ("stop", "rollback"):
            raise UsageError(
                f"{self.on_divergence!r} is no way", where="--on-divergence", mend="write stop or rollback"
            )
        return Saving(self.save_steps, self.save_minutes, self.save_total_limit, self.on_divergence == "rollback")


@dataclass(frozen=True)
class EncoderOptions:
    """How an encoder reads a row and answers."""

    head: options.Head = "mean"
    max_length: options.MaxLength = 256

    def spec(self, name: str) -> ModelSpec:
        """The spec of a model so used."""
        from welltuned.cli import requests
        from welltuned.spec import ModelSpec

        return requests.spec(ModelSpec, name=name, **vars(self))

    def specs(self, names: str) -> list[ModelSpec]:
        """The specs of comma-separated models, each under each of the comma-separated heads."""
        from dataclasses import replace

        heads = [replace(self, head=head.strip()) for head in self.head.split(",")]
        return [one.spec(name.strip()) for name in names.split(",") for one in heads]


@dataclass(frozen=True)
class ComputeOptions:
    """On what to compute."""

    precision: options.Precision = "auto"
    engine: options.Engine = "fast"
    device: options.Device = "auto"

    def spec(self) -> ComputeSpec:
        """The spec, with nothing left to ``auto``."""
        from welltuned.cli import requests
        from welltuned.engine import settle
        from welltuned.spec import ComputeSpec

        return settle(requests.spec(ComputeSpec, **vars(self)))


def data_spec(source: str, *groups: ColumnOptions | SampleOptions) -> DataSpec:
    """The spec of a source read with these options."""
    from welltuned.cli import requests
    from welltuned.spec import DataSpec

    return requests.spec(
        DataSpec, source=source, **{name: value for one in groups for name, value in vars(one).items()}
    )


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """The same command with the fields of each group in its signature, as the command line's parser reads them."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: one.annotation for name, one in signature.parameters.items() if is_dataclass(one.annotation)
    }

    def flat(**values: Any) -> None:
        made = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**values, **made)

    parameters = [
        single
        for name, one in signature.parameters.items()
        for single in (_singles(groups[name]) if name in groups else [one.replace(kind=inspect.Parameter.KEYWORD_ONLY)])
    ]
    parameters = [with_completion(single) for single in parameters]
    flat.__doc__ = command.__doc__
    flat.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {single.name: single.annotation for single in parameters}
    return flat


def _singles(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(group)
    ]
