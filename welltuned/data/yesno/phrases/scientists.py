"""Scientists."""

from welltuned.data.yesno.phrases._lives import BIRTHPLACE, BORN, DEATHPLACE, DIED
from welltuned.data.yesno.wording import Wording

WORDING: dict[str, Wording] = {
    "born": BORN,
    "died": DIED,
    "birthplace": BIRTHPLACE,
    "deathplace": DEATHPLACE,
    "field": Wording(
        "main field",
        "the main field of {e} is {v}",
        ("{e} worked mainly in {v}.", "The main field of {e} is {v}.", "{e} is a great name in {v}."),
        ("is {v} the main field of {e}", "did {e} work mainly in {v}"),
    ),
    "known": Wording(
        "achievement",
        "{e} is known for {v}",
        ("{e} is known for {v}.", "The fame of {e} rests on {v}."),
        ("is {e} known for {v}", "is {v} associated with {e}"),
    ),
}
