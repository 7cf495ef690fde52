"""What a notebook shows: plain HTML, every value escaped, no script."""

from __future__ import annotations

import inspect
from typing import Any

from welltuned.record import ComparisonRecord, RunRecord
from welltuned.report import markup, page
from welltuned.report.markup import element


def of_record(record: ComparisonRecord | RunRecord, heading: str) -> str:
    """A finished record: its heading, verdict, table and alarms."""
    return element("div", element("h3", heading), page.excerpt(record))


def of_parameters(estimator: Any) -> str:
    """An estimator that has not been fitted: the parameters that are not as by default."""
    usual = {name: one.default for name, one in inspect.signature(type(estimator)).parameters.items()}
    changed = {name: value for name, value in estimator.get_params(deep=False).items() if value != usual[name]}
    facts = [(name, repr(value)) for name, value in changed.items()]
    told = [markup.pairs("Parameters", facts)] if facts else []
    heading = f"{type(estimator).__name__}, not fitted" + ("" if facts else ", all parameters as by default")
    return element("div", element("p", element("strong", heading)), *told)
