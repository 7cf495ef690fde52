"""The same work from Python: an estimator by scikit-learn's conventions, and a comparison as an object.

Both leave the records that the commands leave, and read what those left.
"""

from welltuned.python.classifier import Classifier
from welltuned.python.comparison import Compared, compare
from welltuned.python.errors import InputError, ParameterError

__all__ = ["Classifier", "Compared", "InputError", "ParameterError", "compare"]
