"""What is said about people in more than one domain."""

from welltuned.data.yesno.wording import Wording, years

BORN = Wording(
    "year of birth",
    "{e} was born in {v}",
    ("{e} was born in {v}.", "The year of birth of {e} is {v}.", "{e} came into the world in {v}."),
    ("was {e} born in {v}", "is {v} the year of birth of {e}"),
    years("was {e} born {c} {f}", "was {e} the {s} of the three to be born"),
)
DIED = Wording(
    "year of death",
    "{e} died in {v}",
    ("{e} died in {v}.", "{e} lived until {v}.", "The death of {e} came in {v}."),
    ("did {e} die in {v}", "is {v} the year of death of {e}"),
    years("did {e} die {c} {f}", "was {e} the {s} of the three to die"),
)
BIRTHPLACE = Wording(
    "birthplace",
    "{e} was born in {v}",
    ("{e} was born in {v}.", "The birthplace of {e} is {v}.", "{v} is where {e} was born."),
    ("was {e} born in {v}", "is {v} the birthplace of {e}", "did {e} come from {v}"),
)
DEATHPLACE = Wording(
    "place of death",
    "{e} died in {v}",
    ("{e} died in {v}.", "{v} is where {e} died.", "The life of {e} ended in {v}."),
    ("did {e} die in {v}", "is {v} the place of death of {e}"),
)
