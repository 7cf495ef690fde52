"""Moons."""

from welltuned.data.yesno.wording import Scale, Wording, years

WORDING: dict[str, Wording] = {
    "parent": Wording(
        "planet or dwarf planet",
        "{e} orbits {v}",
        ("{e} orbits {v}.", "{e} is a moon of {v}.", "Among the moons of {v} is {e}."),
        ("is {e} a moon of {v}", "does {e} orbit {v}", "does {e} circle {v}"),
    ),
    "discoverer": Wording(
        "discoverer",
        "{e} was discovered by {v}",
        ("{e} was discovered by {v}.", "{v} discovered {e}.", "{e} was first seen by {v}."),
        ("did {v} discover {e}", "was {e} discovered by {v}"),
    ),
    "discovered": Wording(
        "year of discovery",
        "{e} was discovered in {v}",
        ("{e} was discovered in {v}.", "The discovery of {e} dates from {v}."),
        ("was {e} discovered in {v}", "is {v} the year of discovery of {e}"),
        years("was {e} discovered {c} {f}", "was {e} the {s} of the three to be discovered"),
    ),
    "diameter": Wording(
        "diameter",
        "{e} measures about {v} kilometres across",
        ("{e} measures about {v} kilometres across.", "The diameter of {e} is about {v} kilometres."),
        ("does {e} measure about {v} kilometres across",),
        Scale(
            "is {e} {c} than {f}",
            "is {e} the {s} of the three moons",
            ("larger", "largest"),
            ("smaller", "smallest"),
            limit="is the diameter of {e} {c} than {f} kilometres",
        ),
    ),
    "orbit": Wording(
        "orbital period",
        "{e} takes about {v} days for one orbit",
        ("{e} takes about {v} days for one orbit.", "One revolution of {e} lasts about {v} days."),
        ("does {e} take about {v} days for one orbit",),
        Scale(
            "is the orbit of {e} {c} than that of {f}",
            "does {e} have the {s} orbit of the three",
            ("longer", "longest"),
            ("shorter", "shortest"),
            limit="is the orbital period of {e} {c} than {f} days",
        ),
    ),
    "namesake": Wording(
        "namesake",
        "{e} is named after {v}",
        ("{e} is named after {v}.", "The name of {e} comes from {v}.", "{e} takes its name from {v}."),
        ("is {e} named after {v}", "does {e} bear the name of {v}"),
    ),
}
