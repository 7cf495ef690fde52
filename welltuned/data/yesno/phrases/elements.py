"""Chemical elements."""

from welltuned.data.yesno.wording import Scale, Wording, years

WORDING: dict[str, Wording] = {
    "symbol": Wording(
        "chemical symbol",
        "the chemical symbol of {e} is {v}",
        ("Chemists write {e} as {v}.", "The symbol {v} stands for {e}.", "{e} has the symbol {v}."),
        ("is {v} the chemical symbol of {e}", "does {v} stand for {e}"),
    ),
    "number": Wording(
        "atomic number",
        "the atomic number of {e} is {v}",
        ("{e} has the atomic number {v}.", "The nucleus of {e} holds {v} protons."),
        ("is {v} the atomic number of {e}",),
        Scale(
            "is the atomic number of {e} {c} than that of {f}",
            "does {e} have the {s} atomic number of the three",
            ("higher", "highest"),
            ("lower", "lowest"),
            limit="is the atomic number of {e} {c} than {f}",
        ),
    ),
    "block": Wording(
        "block",
        "{e} belongs to the {v} of the periodic table",
        ("{e} belongs to the {v}.", "In the periodic table {e} stands in the {v}."),
        ("is {e} an element of the {v}", "does {e} belong to the {v}"),
    ),
    "period": Wording(
        "period",
        "{e} stands in the {v} period of the periodic table",
        ("{e} stands in the {v} period.", "The {v} row of the periodic table contains {e}."),
        ("is {e} in the {v} period of the periodic table", "does {e} belong to the {v} period"),
    ),
    "state": Wording(
        "state at room temperature",
        "{e} is a {v} at room temperature",
        ("{e} is a {v} at room temperature.", "Under ordinary conditions {e} is a {v}."),
        ("is {e} a {v} at room temperature", "is {e} normally a {v}"),
    ),
    "discovered": Wording(
        "year of discovery",
        "{e} was discovered in {v}",
        ("{e} was discovered in {v}.", "The discovery of {e} dates from {v}."),
        ("was {e} discovered in {v}", "is {v} the year of discovery of {e}"),
        years("was {e} discovered {c} {f}", "was {e} the {s} of the three to be discovered"),
    ),
    "discoverer": Wording(
        "discoverer",
        "{e} was discovered by {v}",
        ("{v} discovered {e}.", "The discovery of {e} is credited to {v}.", "{e} was found by {v}."),
        ("did {v} discover {e}", "was {e} discovered by {v}"),
    ),
}
