"""Mountains."""

from welltuned.data.yesno.wording import Scale, Wording, years

WORDING: dict[str, Wording] = {
    "height": Wording(
        "height",
        "{e} is about {v} metres high",
        ("{e} is about {v} metres high.", "The summit of {e} lies at about {v} metres."),
        ("is {e} about {v} metres high",),
        Scale(
            "is {e} {c} than {f}",
            "is {e} the {s} of the three mountains",
            ("higher", "highest"),
            ("lower", "lowest"),
            limit="is {e} {c} than {f} metres",
        ),
    ),
    "countries": Wording(
        "country",
        "{e} stands in {v}",
        ("{e} stands in {v}.", "{e} is found in {v}."),
        ("is {e} a mountain in {v}", "does {e} rise in {v}", "is {v} home to {e}"),
    ),
    "range": Wording(
        "range",
        "{e} belongs to the {v}",
        ("{e} belongs to the {v}.", "{e} is a mountain of the {v}.", "The {v} include {e}."),
        ("is {e} part of the {v}", "does {e} belong to the {v}"),
    ),
    "continent": Wording(
        "continent",
        "{e} rises in {v}",
        ("{e} rises in {v}.", "The continent of {e} is {v}."),
        ("is {e} located in {v}", "is {v} the continent of {e}"),
    ),
    "ascent": Wording(
        "year of first ascent",
        "{e} was first climbed in {v}",
        ("{e} was first climbed in {v}.", "The first ascent of {e} dates from {v}."),
        ("was {e} first climbed in {v}", "is {v} the year of the first ascent of {e}"),
        years("was {e} first climbed {c} {f}", "was {e} the {s} of the three to be climbed"),
    ),
    "climbers": Wording(
        "first climbers",
        "{e} was first climbed by {v}",
        ("{e} was first climbed by {v}.", "The first ascent of {e} was made by {v}."),
        ("was {e} first climbed by {v}", "did {v} first climb {e}"),
    ),
}
