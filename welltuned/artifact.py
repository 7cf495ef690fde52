"""A trained model on disk: safetensors and JSON, opened by plain Transformers.

Where a stock architecture can say the model (its native head, and a method that leaves or merges into stock
weights), the folder is a stock checkpoint. Otherwise it is of type ``welltuned``: the classes here, which ``import
welltuned`` registers with the Auto classes, so that no remote code is needed. Methods that keep their tensors
apart also export an adapter for peft.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from welltuned import methods
from welltuned.batches import Batch
from welltuned.encoders import Encoder, LinearHead, NativeHead, native_parts
from welltuned.errors import DataError, ResourceError
from welltuned.methods._base import Method
from welltuned.pretrained import Pretrained, without_pooler
from welltuned.shapes import shape_of
from welltuned.spec import MethodSpec

CARD = "README.md"


class WelltunedConfig(PreTrainedConfig):
    """Config of a model that no stock architecture can say.

    Attributes:
        backbone: the backbone's config, as a dictionary with its ``model_type``.
        pooling: "mean", "first" or "native".
        method: name and config of a method whose tensors are still apart, or None.
    """

    model_type = "welltuned"

    backbone: dict[str, Any] | None = None
    pooling: str = "mean"
    method: dict[str, Any] | None = None

    def backbone_config(self) -> PreTrainedConfig:
        """The backbone's config as an object."""
        return AutoConfig.for_model(**(self.backbone or {}))


class WelltunedForSequenceClassification(PreTrainedModel):
    """An :class:`~welltuned.encoders.Encoder` behind the interface of Transformers' classifiers."""

    config_class = WelltunedConfig
    config: WelltunedConfig
    base_model_prefix = "encoder"
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: WelltunedConfig) -> None:
        super().__init__(config)
        self.encoder = _bare_encoder(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Every tensor comes from the file; nothing is initialised here."""

    def get_input_embeddings(self) -> nn.Module:
        """The backbone's word embeddings."""
        return self.encoder.words

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Logits [B, C] for token ids [B, T]; mean cross-entropy too where labels [B] are given."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        rows = torch.arange(input_ids.shape[0], device=input_ids.device)
        logits = self.encoder(Batch(input_ids, mask, token_type_ids, None, rows))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    @classmethod
    def from_encoder(cls, name_or_path: str, classes: int, pooling: str = "mean") -> WelltunedForSequenceClassification:
        """A pretrained encoder under an untrained linear head: the base that an exported adapter goes onto."""
        backbone = AutoConfig.from_pretrained(name_or_path, trust_remote_code=False)
        options: dict[str, Any] = {"num_labels": classes}
        config = WelltunedConfig(backbone=backbone.to_dict(), pooling=pooling, **options)
        model = cls(config)
        loaded = AutoModel.from_pretrained(name_or_path, dtype=torch.float32, **without_pooler(backbone))
        model.encoder.backbone.load_state_dict(loaded.state_dict())
        model.eval()
        return model


def _bare_encoder(config: WelltunedConfig) -> Encoder:
    """An encoder of the config's structure, its weights not yet meant."""
    backbone_config, classes = config.backbone_config(), config.num_labels or 2
    shape = shape_of(backbone_config.to_dict()).with_head(config.pooling, classes)
    if config.pooling == "native":
        backbone_config.num_labels = classes
        backbone, head = native_parts(AutoModelForSequenceClassification.from_config(backbone_config))
        encoder = Encoder(backbone, head, shape)
    else:
        backbone = AutoModel.from_config(backbone_config, **without_pooler(backbone_config))
        encoder = Encoder(backbone, LinearHead(shape.hidden, classes, config.pooling), shape)
    if config.method is not None:
        methods.build(MethodSpec(**config.method)).attach(encoder)
    return encoder


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
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            method.export_adapter(encoder, draft / "adapter", origin.name)
            model = _as_transformers(encoder, method, spec, labels)
            model.save_pretrained(draft)
            origin.tokenizer.save_pretrained(draft)
            draft.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            draft.replace(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except OSError as error:
        raise ResourceError(
            "cannot write the trained model",
            where=str(folder),
            why=error.strerror or str(error),
            mend="choose another --out folder, make room, or give yourself permission to write there",
        ) from error
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


AutoConfig.register(WelltunedConfig.model_type, WelltunedConfig, exist_ok=True)
AutoModelForSequenceClassification.register(WelltunedConfig, WelltunedForSequenceClassification, exist_ok=True)
