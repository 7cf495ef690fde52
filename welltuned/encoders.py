"""An encoder, its pooling and its head, behind named access points.

A method never names a model. It asks the encoder for ``backbone``, ``blocks``, ``words``, ``head``, and may set
``prompt``: vectors that stand before a row's own embeddings. How each family calls these parts is known to
:mod:`welltuned.shapes` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from welltuned.batches import Batch
from welltuned.joined import EndToEnd, Layout, Part, current, standing
from welltuned.shapes import Shape


class LinearHead(nn.Module):
    """One linear layer over a pooled representation: the same head for every method and model.

    logits = W pool(H) + b, with pool the mean over a row's own tokens ("mean") or the first token ("first").
    """

    def __init__(self, hidden: int, classes: int, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling
        self.classifier = nn.Linear(hidden, classes)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """[B, T, d] hidden states and their [B, T] mask -> [B, d] float32."""
        if self.pooling == "first":
            return hidden[:, 0].float()
        weights = mask.float() / mask.sum(dim=1, keepdim=True)
        return (weights.unsqueeze(1) @ hidden.float()).squeeze(1)

    def classify(self, features: Tensor) -> Tensor:
        """[B, d] pooled representations -> [B, C] logits, never in reduced precision."""
        with torch.autocast(features.device.type, enabled=False):
            return cast(Tensor, self.classifier(features))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """[B, T, d] hidden states -> [B, C] float32 logits."""
        with torch.autocast(hidden.device.type, enabled=False):
            return self.classify(self.pool(hidden, mask))


class HiddenStates(nn.Module):
    """Stands where a stock classifier has its backbone and hands on hidden states computed elsewhere."""

    def __init__(self, pooler: nn.Module | None) -> None:
        super().__init__()
        self.pooler = pooler

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> BaseModelOutputWithPooling:
        """``inputs_embeds`` [B, T, d] are taken for the last hidden states."""
        pooled = None if self.pooler is None else self.pooler(inputs_embeds)
        return BaseModelOutputWithPooling(last_hidden_state=inputs_embeds, pooler_output=pooled)


class NativeHead(nn.Module):
    """A model's own classification head: the stock classifier with its backbone taken out.

    The stock class's own forward runs on our hidden states, so its pooling, dropout and activation are its own.
    """

    def __init__(self, stock: PreTrainedModel, pooler: nn.Module | None) -> None:
        super().__init__()
        setattr(stock, stock.base_model_prefix, HiddenStates(pooler))
        self.stock = stock

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """[B, T, d] hidden states and [B, T] mask -> [B, C] float32 logits."""
        return cast(Tensor, self.stock(inputs_embeds=hidden, attention_mask=mask).logits).float()

    def trained_modules(self) -> dict[str, nn.Module]:
        """The head's modules by their paths in the stock classifier, the pooler under the backbone's name."""
        base = self.stock.base_model_prefix
        modules = {name: child for name, child in self.stock.named_children() if name != base}
        stub = getattr(self.stock, base)
        if stub.pooler is not None:
            modules[f"{base}.pooler"] = stub.pooler
        return {name: module for name, module in modules.items() if any(True for _ in module.parameters())}

    def reunited(self, backbone: PreTrainedModel) -> PreTrainedModel:
        """A stock classifier of these very tensors, backbone and pooler back in their places."""
        stub = getattr(self.stock, self.stock.base_model_prefix)
        if stub.pooler is not None:
            backbone.add_module("pooler", stub.pooler)
        setattr(self.stock, self.stock.base_model_prefix, backbone)
        return self.stock


def native_parts(stock: PreTrainedModel) -> tuple[PreTrainedModel, NativeHead]:
    """Take a stock sequence classifier apart into its backbone and its head (pooler included)."""
    backbone = cast(PreTrainedModel, getattr(stock, stock.base_model_prefix))
    pooler = getattr(backbone, "pooler", None)
    if pooler is not None:
        backbone.add_module("pooler", None)
    return backbone, NativeHead(stock, pooler)


@dataclass(frozen=True)
class Reading:
    """Rows end to end, as a backbone reads them.

    Attributes:
        given: [1, N, ...] by the names of the backbone's arguments.
        states: [1, N, d] at the frontier, where they were computed before.
        layout: how the rows stand, the prompt's positions included.
        width: T of the padded batch.
        before: l, positions of the prompt.
    """

    given: dict[str, Tensor]
    states: Tensor | None
    layout: Layout
    width: int
    before: int

    def padded(self, hidden: Tensor) -> Tensor:
        """[1, N, d] -> [B, T - l, d], without the prompt's positions."""
        return self.layout.pad(hidden, self.width)[:, self.before :]


class _ReachedError(Exception):
    """Ends a forward pass where nothing above is wanted."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


class Encoder(nn.Module):
    """A pretrained backbone with a classification head.

    Attributes:
        backbone: the stock model without its head.
        head: :class:`LinearHead` or :class:`NativeHead`.
        shape: dimensions of both.
        prompt: a module that returns [l, e] vectors to stand before each row's embeddings, or None.
        frontier: blocks below this index are a constant function of the input: they run without dropout and
            without gradient. 0 for none, ``shape.layers`` for the whole backbone.
        end_to_end: what lets rows stand end to end, on this device; None where they must be padded.
    """

    def __init__(self, backbone: PreTrainedModel, head: LinearHead | NativeHead, shape: Shape) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.shape = shape
        self.prompt: nn.Module | None = None
        self.frontier = 0
        self.end_to_end: EndToEnd | None = None

    @property
    def joins(self) -> bool:
        """Whether rows go through the backbone end to end, without padding (:mod:`welltuned.joined`)."""
        return self.end_to_end is not None and self.backbone.config._attn_implementation == self.end_to_end.attention

    @property
    def blocks(self) -> nn.ModuleList:
        """The L transformer blocks, lowest first."""
        return cast(nn.ModuleList, self.backbone.get_submodule(self.shape.blocks))

    @property
    def words(self) -> nn.Embedding:
        """The word embeddings [V, e]."""
        return cast(nn.Embedding, self.backbone.get_input_embeddings())

    @property
    def prompt_length(self) -> int:
        """l, the positions that the prompt takes up in front of each row."""
        return 0 if self.prompt is None else int(self.prompt().shape[0])

    def train(self, mode: bool = True) -> Encoder:
        """Training mode above the frontier, evaluation mode below it."""
        super().train(mode)
        if mode and self.frontier >= self.shape.layers:
            self.backbone.eval()
        elif mode and self.frontier:
            self.backbone.eval()
            for block in self.blocks[self.frontier :]:
                block.train()
        return self

    def below(self, batch: Batch) -> Tensor:
        """[B, T, d] what the blocks below the frontier hand on; the last hidden states where it lies above them all."""
        if self.frontier >= self.shape.layers:
            return self.hidden(batch)

        def stop(_: nn.Module, given: tuple[Any, ...]) -> None:
            layout, states = current(), given[0]
            raise _ReachedError(states if layout is None else layout.pad(states, batch.ids.shape[1]))

        hook = self.blocks[self.frontier].register_forward_pre_hook(stop)
        try:
            self.hidden(batch)
        except _ReachedError as reached:
            return reached.states
        finally:
            hook.remove()
        raise RuntimeError("the block at the frontier was not called")

    @contextmanager
    def _given(self, states: Tensor | None) -> Iterator[None]:
        """The blocks below the frontier do no work; the last of them hands on what came of them before, if it did."""
        below = self.blocks[: self.frontier if states is not None else 0]

        def returned(found: Tensor | None) -> Any:
            return (found, None) if self.shape.blocks_return_pairs else found

        try:
            for block in below:
                block.forward = lambda hidden, *_, **__: returned(hidden)
            if len(below):
                below[-1].forward = lambda *_, **__: returned(states)
            yield
        finally:
            for block in below:
                del block.forward

    def hidden(self, batch: Batch) -> Tensor:
        """Last hidden states [B, T, d] of a row's own tokens; the prompt's positions are left out."""
        if batch.states is not None and self.frontier >= self.shape.layers:
            return batch.states
        if batch.lengths is not None and self.joins:
            return self.read([self.reading(batch)])[0]
        given, mask, before = self._inputs(batch)
        with self._given(batch.states):
            output = self.backbone(**given, attention_mask=mask)
        return cast(Tensor, output.last_hidden_state)[:, before:]

    def reading(self, batch: Batch) -> Reading:
        """A batch of known lengths, its rows put end to end."""
        given, mask, before = self._inputs(batch)
        assert batch.lengths is not None
        assert self.end_to_end is not None
        layout = self.end_to_end.layout([before + length for length in batch.lengths], mask.shape[1])
        positions = layout.positions(self.shape.first_position).to(mask.device)
        joined = {name: layout.join(one) for name, one in given.items()}
        states = None if batch.states is None else layout.join(batch.states)
        return Reading({**joined, "position_ids": positions}, states, layout, mask.shape[1], before)

    def read(self, readings: Sequence[Reading], parts: Sequence[Part] = ()) -> list[Tensor]:
        """Last hidden states [B, T, d] of each; all go through the backbone at once.

        Args:
            parts: of the trainings that the readings are of, where they are several.
        """
        if len(readings) == 1:
            given, states, layout = readings[0].given, readings[0].states, readings[0].layout
        else:
            given = {name: torch.cat([one.given[name] for one in readings], dim=1) for name in readings[0].given}
            kept = [one.states for one in readings if one.states is not None]
            states = torch.cat(kept, dim=1) if kept else None
            layout = Layout.following([one.layout for one in readings])
        with standing(layout, parts), self._given(states):
            hidden = self.backbone(**given).last_hidden_state  # [1, N, d]
        shares = hidden.split([one.layout.tokens for one in readings], dim=1)
        return [one.padded(share) for one, share in zip(readings, shares, strict=True)]

    def _inputs(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor, int]:
        """What the backbone is given of a padded batch, the mask [B, T] beside it, and l; behind the prompt if any."""
        given, mask, types, before = {"input_ids": batch.ids}, batch.mask, batch.types, 0
        if self.prompt is not None:
            prompt = self.prompt()  # [l, e]
            before = prompt.shape[0]
            words = self.words(batch.ids)  # [B, T, e]
            given = {"inputs_embeds": torch.cat([prompt.expand(words.shape[0], -1, -1), words], dim=1)}  # [B, l + T, e]
            mask = nn.functional.pad(mask, (before, 0), value=1)
            types = None if types is None else nn.functional.pad(types, (before, 0), value=0)
        if types is not None:
            given["token_type_ids"] = types
        return given, mask, before

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B, C], float32."""
        if batch.features is not None:
            return cast(LinearHead, self.head).classify(batch.features)
        below_is_constant = self.frontier >= self.shape.layers
        with torch.set_grad_enabled(torch.is_grad_enabled() and not below_is_constant):
            hidden = self.hidden(batch)
        return cast(Tensor, self.head(hidden, batch.mask))
