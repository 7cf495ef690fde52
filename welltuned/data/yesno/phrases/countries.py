"""Countries."""

from welltuned.data.yesno.wording import Scale, Wording, years

WORDING: dict[str, Wording] = {
    "capital": Wording(
        "capital",
        "the capital of {e} is {v}",
        ("{v} is the capital of {e}.", "The capital of {e} is {v}.", "{e} has its capital in {v}."),
        ("is {v} the capital of {e}", "does {e} have {v} as its capital"),
    ),
    "continent": Wording(
        "continent",
        "{e} lies in {v}",
        ("{e} lies in {v}.", "{e} is a country in {v}.", "The continent of {e} is {v}."),
        ("is {e} located in {v}", "is {e} part of {v}", "does {e} belong to {v}"),
    ),
    "currency": Wording(
        "currency",
        "the currency of {e} is the {v}",
        ("{e} uses the {v} as its currency.", "People in {e} pay with the {v}.", "The {v} is used in {e}."),
        ("is the {v} the currency of {e}", "does {e} use the {v}"),
    ),
    "languages": Wording(
        "official or national language",
        "{v} is an official or national language of {e}",
        ("{e} recognises {v} at the national level.", "Official or national language in {e}: {v}."),
        ("is {v} an official or national language of {e}", "is {v} one of the languages of {e}"),
    ),
    "area": Wording(
        "area",
        "{e} covers about {v} square kilometres",
        ("{e} covers about {v} square kilometres.", "The area of {e} is about {v} square kilometres."),
        ("does {e} cover about {v} square kilometres",),
        Scale(
            "is {e} {c} than {f}",
            "is {e} the {s} of the three countries",
            ("larger", "largest"),
            ("smaller", "smallest"),
            limit="is {e} {c} than {f} square kilometres",
        ),
    ),
    "domain": Wording(
        "internet domain",
        "the internet domain of {e} is {v}",
        ("{e} has the internet domain {v}.", "Web addresses in {e} end in {v}."),
        ("is {v} the internet domain of {e}", "does {e} use the internet domain {v}"),
    ),
    "admitted": Wording(
        "year of admission to the United Nations",
        "{e} joined the United Nations in {v}",
        ("{e} joined the United Nations in {v}.", "{e} has been in the United Nations since {v}."),
        ("did {e} join the united nations in {v}", "did {e} become a un member in {v}"),
        years(
            "did {e} join the united nations {c} {f}",
            "was {e} the {s} of the three to join the united nations",
        ),
    ),
}
