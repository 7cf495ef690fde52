"""Look into tokenizers: how they lay out a row, how well they fit, how they split a word; train a new one."""
