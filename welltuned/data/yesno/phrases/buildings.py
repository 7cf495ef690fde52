"""Buildings and bridges."""

from welltuned.data.yesno.wording import Scale, Wording, years

WORDING: dict[str, Wording] = {
    "city": Wording(
        "city",
        "{e} stands in {v}",
        ("{e} stands in {v}.", "{e} is a landmark of {v}.", "In {v} visitors find {e}."),
        ("is {e} in {v}", "does {e} stand in {v}", "is {e} located in {v}"),
    ),
    "country": Wording(
        "country",
        "the country of {e} is {v}",
        ("The country of {e} is {v}.", "{e} is among the landmarks of {v}."),
        ("is {v} the country of {e}", "is {e} a structure in {v}"),
    ),
    "completed": Wording(
        "year of completion",
        "{e} was completed in {v}",
        ("{e} was completed in {v}.", "Work on {e} ended in {v}."),
        ("was {e} completed in {v}", "is {v} the year of completion of {e}"),
        years("was {e} completed {c} {f}", "was {e} the {s} of the three to be completed"),
    ),
    "height": Wording(
        "height",
        "{e} is about {v} metres tall",
        ("{e} rises to about {v} metres.", "The height of {e} is about {v} metres."),
        ("is {e} about {v} metres tall",),
        Scale(
            "is {e} {c} than {f}",
            "is {e} the {s} of the three structures",
            ("taller", "tallest"),
            ("lower", "lowest"),
            limit="is {e} {c} than {f} metres",
        ),
    ),
    "architect": Wording(
        "designer",
        "{e} was designed by {v}",
        ("{e} was designed by {v}.", "{v} designed {e}.", "The design of {e} is by {v}."),
        ("did {v} design {e}", "was {e} designed by {v}", "is {v} the designer of {e}"),
    ),
    "kind": Wording(
        "type of structure",
        "the type of structure of {e} is {v}",
        ("Guidebooks list {e} under the heading {v}.", "The type of structure of {e} is {v}."),
        ("is {e} classed as a type of {v}", "is {v} the type of structure of {e}"),
    ),
}
