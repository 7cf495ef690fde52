"""From stored answers and opened labels to scores, paired statements and a verdict.

Needs records and arrays alone, no torch: ``compare`` judges with it once, and ``stats`` again from the same files.
"""

from welltuned.judging.answers import MARGIN, Answers, Terms, measures
from welltuned.judging.comparison import Baselines, Judgement, judge
from welltuned.judging.rows import Entrant, budget
from welltuned.judging.run import RunJudgement, judge_run
from welltuned.judging.statements import points, statements

__all__ = [
    "MARGIN", "Answers", "Baselines", "Entrant", "Judgement", "RunJudgement", "Terms", "budget", "judge", "judge_run",
    "measures", "points", "statements",
]  # fmt: skip
