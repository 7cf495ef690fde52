"""What happened: the records of runs and of what is made of them, their files, and how they reach the disk whole.

A record is JSON with a versioned schema; per-example logits and labels lie beside it as safetensors. Nothing
here needs torch, so anyone can recompute every published figure from the files alone.

Files of a run folder::

    spec.json                 the resolved RunSpec
    progress.json             Progress, while the run goes on
    record.json               RunRecord; written last, so its presence means that the run is complete
    predictions.safetensors   dev.logits [N, C], dev.labels [N], test.logits [M, C]   (float32, int64)
    figures/*.png
    model/                    the trained model
"""

from welltuned.record.answers import read_answers
from welltuned.record.comparison import (
    BestAfter,
    Budget,
    ComparisonRecord,
    Cost,
    Statement,
    Suspect,
    TableRow,
)
from welltuned.record.files import (
    ANEW,
    GO_ON,
    ROOM,
    consistent,
    default_folder,
    read_arrays,
    read_comparison,
    read_record,
    read_run,
    require_replaceable,
    require_room,
    require_there,
    require_writable,
    results_kind,
    whole_folder,
    write_arrays,
    write_bytes,
    write_json,
)
from welltuned.record.locks import alone
from welltuned.record.machine import installed_versions, processor_name
from welltuned.record.memory import CapacityPart, CapacityRecord, CapacityRow, MemoryRecord, MemoryRow, TrialRow
from welltuned.record.run import (
    Alarm,
    EpochRow,
    Incident,
    Measures,
    Memory,
    Opening,
    Progress,
    Provenance,
    RunRecord,
    Score,
    TrainingRecord,
    Truncation,
    Utilisation,
)
from welltuned.record.schema import SCHEMA, Schema
from welltuned.record.search import GivenUp, SearchRecord, SearchTrial

__all__ = [
    "ANEW", "GO_ON", "ROOM", "SCHEMA", "Alarm", "BestAfter", "Budget", "CapacityPart", "CapacityRecord",
    "CapacityRow", "ComparisonRecord", "Cost", "EpochRow", "GivenUp", "Incident", "Measures", "Memory",
    "MemoryRecord", "MemoryRow", "Opening", "Progress", "Provenance", "RunRecord", "Schema", "Score",
    "SearchRecord", "SearchTrial", "Statement", "Suspect", "TableRow", "TrainingRecord", "TrialRow", "Truncation",
    "Utilisation", "alone", "consistent", "default_folder", "installed_versions", "processor_name", "read_answers",
    "read_arrays", "read_comparison", "read_record", "read_run", "require_replaceable", "require_room", "require_there",
    "require_writable", "results_kind", "whole_folder", "write_arrays", "write_bytes", "write_json",
]  # fmt: skip
