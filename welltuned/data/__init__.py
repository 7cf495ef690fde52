"""Reading, cutting and checking data."""

from welltuned.data.dataset import Columns, Dataset, Split
from welltuned.data.load import load_dataset

__all__ = ["Columns", "Dataset", "Split", "load_dataset"]
