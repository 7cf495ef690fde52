"""A trained model on disk: safetensors and JSON, opened by plain Transformers.

Where a stock architecture can say the model (its native head, and a method that leaves or merges into stock
weights), the folder is a stock checkpoint. Otherwise it is of type ``welltuned``, whose class stands in
:mod:`welltuned.model`: ``import welltuned`` lets the Auto classes know it, so that no remote code is needed. Methods
that keep their tensors apart also export an adapter for peft.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from welltuned.encoders import Encoder, NativeHead
from welltuned.errors import DataError, WelltunedError
from welltuned.methods._base import Method
from welltuned.model import WelltunedConfig, WelltunedForSequenceClassification
from welltuned.opening import parsed, require_own_model, write_manifest
from welltuned.pretrained import Pretrained, quieten_transformers, require_proportion, require_shapes
from welltuned.record import whole_folder
from welltuned.spec import MethodSpec


def save(
    folder: Path,
    encoder: Encoder,
    method: Method[Any],
    spec: MethodSpec,
    origin: Pretrained,
    labels: tuple[str, ...],
) -> PreTrainedModel:
    """Write ``model/`` so that it is there whole or not at all; the encoder is merged and used up by it.

    Args:
        folder: the model folder to make; an older one is replaced.
        encoder: trained, with ``method`` attached.
        labels: [C] class names.

    Returns:
        The model as saved.

    Raises:
        ResourceError: the folder cannot be written.
    """
    encoder.to("cpu").eval()
    encoder.backbone.set_attn_implementation("sdpa" if encoder.backbone._supports_sdpa else "eager")
    with whole_folder(folder) as draft:
        method.export_adapter(encoder, draft / "adapter", origin.address)
        model = _as_transformers(encoder, method, spec, labels)
        model.save_pretrained(draft)
        origin.tokenizer.save_pretrained(draft)
        write_manifest(draft)
    return model


def _as_transformers(
    encoder: Encoder, method: Method[Any], spec: MethodSpec, labels: tuple[str, ...]
) -> PreTrainedModel:
    merged = method.merge(encoder)
    names: dict[str, Any] = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    if merged and isinstance(encoder.head, NativeHead):
        stock = encoder.head.reunited(encoder.backbone)
        stock.config.update({**names, "problem_type": "single_label_classification"})
        return stock
    backbone = encoder.backbone.config.to_dict()
    backbone.pop("_name_or_path", None)  # a folder of this machine
    config = WelltunedConfig(
        backbone=backbone,
        pooling=encoder.shape.head,
        method=None if merged else spec.model_dump(mode="json"),
        **names,
    )
    config.pad_token_id = encoder.backbone.config.pad_token_id
    with torch.device("meta"):
        model = WelltunedForSequenceClassification(config)
    model.encoder = encoder
    config.architectures = [type(model).__name__]
    return model


def load(folder: Path) -> PreTrainedModel:
    """Open a saved model, whichever type it is of, for inference in fp32; nothing is read before it is checked.

    Raises:
        DataError: there is no model in the folder, or it is not as it was saved.
        UsageError: it wants to run code of its own.
    """
    quieten_transformers()
    with _told(folder):
        require_own_model(folder)
        config = parsed(folder / "config.json")
        require_proportion(config.get("backbone") or config, folder)
        model, info = AutoModelForSequenceClassification.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
        require_shapes(info, folder)
        _require_all(info, folder)
    return cast(PreTrainedModel, model.eval())


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder that :func:`load` has opened; errors as there."""
    with _told(folder):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Whatever a library says of files that it cannot use, in our words."""
    try:
        yield
    except WelltunedError:
        raise
    except Exception as error:
        raise DataError(
            "there is no model here that can be opened",
            where=str(folder),
            why=next(iter(str(error).splitlines()), type(error).__name__),
            mend="name the folder of a finished run",
        ) from error


def _require_all(info: dict[str, Any], folder: Path) -> None:
    """Refuse weights that lack a tensor of the model, or have one more."""
    for kind, what in (("missing_keys", "lack"), ("unexpected_keys", "have a surplus tensor,")):
        if names := sorted(info[kind]):
            raise DataError(
                f"the weights {what} {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else ""),
                where=str(folder),
                why="they are not those of the model that config.json describes",
                mend="copy the folder anew, whole, or make it again with the command that made it",
            )
