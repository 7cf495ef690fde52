"""Trainings that go side by side, each as it would alone.

``company`` takes all of them from step to step. ``heads`` are linear heads on the same constant features: one batched
product a step serves all of them. ``abreast`` are trainings whose encoder is frozen but for small parts: their rows go
through it in one pass.
"""

from welltuned.together.abreast import Abreast, can_go_abreast, share_frozen
from welltuned.together.company import Company
from welltuned.together.heads import Heads

__all__ = ["Abreast", "Company", "Heads", "can_go_abreast", "share_frozen"]
