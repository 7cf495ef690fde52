"""LoRA: low-rank updates beside chosen matrices; the matrices themselves stay frozen.

Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", equation 3: h = W0 x + (alpha / r) B A x,
with A in R^{r x in} random, B in R^{out x r} zero at the start. Trained: r * (in + out) a matrix, which is 2*d*r
= 12,288 for a square one with d = 768 and r = 8, and the head. The layers are peft's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, final

from peft import LoraConfig as PeftLoraConfig
from peft import inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from pydantic import BeforeValidator, Field
from safetensors.torch import save_file
from torch import nn

from welltuned.encoders import Encoder, NativeHead
from welltuned.methods._base import Choice, Defaults, Method, MethodConfig, Range, freeze_backbone
from welltuned.shapes import Shape

ADAPTER = "adapter_model.safetensors"


def _split(value: Any) -> Any:
    return tuple(value.split("+")) if isinstance(value, str) else value


class LoraConfig(MethodConfig):
    """Fields of LoRA.

    Attributes:
        rank: r.
        alpha: the update is scaled by alpha / r.
        dropout: on the adapter's input, in training.
        targets: roles of the matrices adapted: query, key, value, output, up, down (written query+value). A
            fused projection is adapted whole if one of its roles is named.
        layers: adapt only so many blocks, counted from the top; None for all.
    """

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: Annotated[tuple[str, ...], BeforeValidator(_split)] = ("query", "value")
    layers: int | None = Field(default=None, ge=1)


@final
class Lora(Method[LoraConfig]):
    """Train low-rank updates of chosen matrices, and the head."""

    Config = LoraConfig
    defaults = Defaults(lr=1e-3, epochs=4)
    search_space: ClassVar = {"lr": Range(1e-4, 1e-2, log=True), "rank": Choice((4, 8, 16))}
    tiny: ClassVar = {"rank": 2}

    def attach(self, encoder: Encoder) -> None:
        """Let peft put its layers in; only they and the head require gradients."""
        freeze_backbone(encoder)
        inject_adapter_in_model(self._peft_config(encoder.shape), encoder.backbone)
        for module in encoder.backbone.modules():
            if isinstance(module, BaseTunerLayer):  # or it casts bf16 states to fp32, and autocast casts them back
                module.cast_input_dtype_enabled = False  # type: ignore[assignment]
        encoder.head.requires_grad_(True)

    def _peft_config(self, shape: Shape, prefix: str = "") -> PeftLoraConfig:
        matrices = shape.matrices_of(frozenset(self.config.targets))
        return PeftLoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha,  # type: ignore[arg-type]
            lora_dropout=self.config.dropout,
            target_modules=[
                f"{prefix}.{shape.blocks}.{block}.{matrix.path}".lstrip(".")
                for block in range(self.frontier(shape), shape.layers)
                for matrix in matrices
            ],
        )

    def frontier(self, shape: Shape) -> int:
        """The lowest adapted block."""
        return max(0, shape.layers - (self.config.layers or shape.layers))

    def ledger(self, shape: Shape) -> dict[str, int]:
        """r * (in + out) for each adapted matrix; d*C + C for the linear head."""
        matrices = shape.matrices_of(frozenset(self.config.targets))
        each = sum(self.config.rank * (matrix.inputs + matrix.outputs) for matrix in matrices)
        blocks = shape.layers - self.frontier(shape)
        return {"adapter": blocks * each, "head": shape.head_parameters}

    def export_adapter(self, encoder: Encoder, folder: Path, base: str) -> None:
        """An adapter that ``peft.PeftModel.from_pretrained`` puts onto the base model under the same head."""
        heads: dict[str, nn.Module]
        if isinstance(encoder.head, NativeHead):
            prefix, heads = encoder.head.stock.base_model_prefix, encoder.head.trained_modules()
        else:
            prefix, heads = "encoder.backbone", {"encoder.head.classifier": encoder.head.classifier}
        tensors = {
            f"base_model.model.{prefix}.{name.replace('.default', '')}": parameter
            for name, parameter in encoder.backbone.named_parameters()
            if parameter.requires_grad
        }
        for path, module in heads.items():
            tensors |= {f"base_model.model.{path}.{name}": value for name, value in module.named_parameters()}
        config = self._peft_config(encoder.shape, prefix)
        config.task_type = "SEQ_CLS"
        config.base_model_name_or_path = base
        config.modules_to_save = list(heads)
        config.inference_mode = True
        config.save_pretrained(str(folder))
        save_file({name: value.detach().contiguous() for name, value in tensors.items()}, folder / ADAPTER)

    def merge(self, encoder: Encoder) -> bool:
        """W0 + (alpha / r) B A in the place of each adapted layer."""
        adapted = [
            (name, module) for name, module in encoder.backbone.named_modules() if isinstance(module, BaseTunerLayer)
        ]
        for name, module in adapted:
            module.merge()
            encoder.backbone.set_submodule(name, module.get_base_layer())
        return True
