"""Masked-language-model pretraining (Devlin et al. 2019), from scratch or from an existing encoder.

Read along the way of the text: ``beginning`` finds encoder and tokenizer, ``tokens`` puts the text on disk as one
stream of tokens, ``rows`` packs the stream into rows, ``masking`` hides a part of each row, ``masked_lm`` predicts
it, ``loop`` trains, and ``run`` is where these parts meet.
"""

from welltuned.pretraining.run import pretrain, preview

__all__ = ["pretrain", "preview"]
