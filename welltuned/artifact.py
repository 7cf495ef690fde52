"""A trained model on disk: safetensors and JSON, opened by plain Transformers.

Where a stock architecture can say the model (its native head, and a method that leaves or merges into stock
weights), the folder is a stock checkpoint. Otherwise it is of type ``welltuned``, whose class stands in
:mod:`welltuned.model`: ``import welltuned`` lets the Auto classes know it, so that no remote code is needed. Methods
that keep their tensors apart also export an adapter for peft.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from welltuned.encoders import Encoder, NativeHead
from welltuned.errors import DataError
from welltuned.methods._base import Method
from welltuned.model import WelltunedConfig, WelltunedForSequenceClassification
from welltuned.pretrained import Pretrained, quieten_transformers
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
    config = WelltunedConfig(
        backbone=encoder.backbone.config.to_dict(),
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
    """Open a saved model, whichever type it is of, for inference in fp32.

    Raises:
        DataError: there is no model in the folder, or it is damaged.
    """
    quieten_transformers()
    try:
        return cast(
            PreTrainedModel,
            AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False
            ).eval(),
        )
    except Exception as error:
        raise DataError(
            "there is no model here that can be opened",
            where=str(folder),
            why=next(iter(str(error).splitlines()), type(error).__name__),
            mend="name the folder of a finished run",
        ) from error
