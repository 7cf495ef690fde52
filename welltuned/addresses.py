"""Where things lie: models by our short names and their ids on the Hugging Face Hub, and what we keep for later."""

from __future__ import annotations

import os
import re
from pathlib import Path

ALIASES = {
    "distilbert": "distilbert/distilbert-base-uncased",
    "bert": "google-bert/bert-base-uncased",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-large-cased": "google-bert/bert-large-cased",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "roberta-base": "FacebookAI/roberta-base",
    "roberta-large": "FacebookAI/roberta-large",
    "modernbert": "answerdotai/ModernBERT-base",
    "ModernBERT-base": "answerdotai/ModernBERT-base",
}
PACKAGED_FROM = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}
"""The Hub ids of the weights that the extra ``offline`` installs."""
LICENSES = {
    "answerdotai/ModernBERT-base": "apache-2.0",
    "distilbert/distilbert-base-uncased": "apache-2.0",
    "google-bert/bert-base-cased": "apache-2.0",
    "google-bert/bert-base-uncased": "apache-2.0",
    "google-bert/bert-large-cased": "apache-2.0",
    "FacebookAI/roberta-base": "mit",
    "FacebookAI/roberta-large": "mit",
    "sentence-transformers/all-MiniLM-L6-v2": "apache-2.0",
}
"""Under what the weights behind our short names are given, as their cards on the Hub say."""

_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def address(name: str) -> str:
    """Under which others find the model that a user calls so: its Hub id, or its folder."""
    return ALIASES.get(name, PACKAGED_FROM.get(name, name))


def hub_id(name: str) -> str | None:
    """The Hub id of the model that a user calls so; None for a folder of this machine."""
    if name not in PACKAGED_FROM and Path(name).expanduser().is_dir():
        return None
    found = address(name)
    return found if _ID.fullmatch(found) else None


def cache_folder() -> Path:
    """The folder of the user's cache for what can be computed anew."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "welltuned"
