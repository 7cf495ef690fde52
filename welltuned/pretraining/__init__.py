"""Masked-language-model pretraining (Devlin et al. 2019), from scratch or from an existing encoder.

Read along the way of the text: ``tokens`` puts it on disk as one stream of tokens, ``rows`` packs the stream into
rows, ``masking`` hides a part of each row, ``masked_lm`` predicts it, ``loop`` trains, ``checkpoint`` lets it go on
after an interruption, and ``pretrain`` is where these parts meet.
"""

from welltuned.pretraining.pretrain import pretrain, preview

__all__ = ["pretrain", "preview"]
