"""``builtin:yesno``: an embedded data set of yes/no questions about passages."""

from welltuned.data.yesno.generate import Row, generate

__all__ = ["Row", "generate"]
