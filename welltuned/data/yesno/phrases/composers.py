"""Composers."""

from welltuned.data.yesno.phrases._lives import BIRTHPLACE, BORN, DEATHPLACE, DIED
from welltuned.data.yesno.wording import Wording

WORDING: dict[str, Wording] = {
    "born": BORN,
    "died": DIED,
    "birthplace": BIRTHPLACE,
    "deathplace": DEATHPLACE,
    "era": Wording(
        "style",
        "the style of {e} is {v}",
        ("{e} is counted among the {v} composers.", "The style of {e} is {v}."),
        ("is {e} a {v} composer", "is {v} the style of {e}"),
    ),
    "works": Wording(
        "work",
        "{v} is a work by {e}",
        ("The works of {e} include {v}.", "{e} composed {v}."),
        ("did {e} compose {v}", "is {v} by {e}", "is {v} one of the works of {e}"),
    ),
}
