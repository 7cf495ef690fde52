"""The model class of type ``welltuned``: an encoder that no stock architecture can say, behind Transformers' interface.

Importing this module registers the classes with the Auto classes of Transformers.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from welltuned import methods
from welltuned.batches import Batch
from welltuned.encoders import Encoder, LinearHead, native_parts
from welltuned.shapes import shape_of
from welltuned.spec import MethodSpec


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
        self.encoder = bare_encoder(config)
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


def bare_encoder(config: WelltunedConfig) -> Encoder:
    """An encoder of the config's structure with its method attached, its weights not yet meant."""
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


def without_pooler(config: PreTrainedConfig) -> dict[str, Any]:
    """The option that builds a backbone without the pooler, which a masked mean has no use for."""
    kind: Any = MODEL_MAPPING[type(config)]
    has_option = "add_pooling_layer" in inspect.signature(kind).parameters
    return {"add_pooling_layer": False} if has_option else {}


AutoConfig.register(WelltunedConfig.model_type, WelltunedConfig, exist_ok=True)
AutoModelForSequenceClassification.register(WelltunedConfig, WelltunedForSequenceClassification, exist_ok=True)
