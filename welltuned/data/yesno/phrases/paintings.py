"""Paintings."""

from welltuned.data.yesno.wording import Wording, years

WORDING: dict[str, Wording] = {
    "painter": Wording(
        "painter",
        "{e} was painted by {v}",
        ("{e} was painted by {v}.", "{v} painted {e}.", "The artist behind {e} is {v}."),
        ("did {v} paint {e}", "is {e} a painting by {v}", "is {v} the painter of {e}"),
    ),
    "painted": Wording(
        "year of completion",
        "{e} was finished in {v}",
        ("{e} was finished in {v}.", "The completion of {e} dates from {v}."),
        ("was {e} completed in {v}", "is {v} the year of completion of {e}"),
        years("was {e} completed {c} {f}", "was {e} the {s} of the three to be completed"),
    ),
    "museum": Wording(
        "museum",
        "{e} belongs to the {v}",
        ("{e} hangs in the {v}.", "The {v} owns {e}.", "{e} is kept by the {v}."),
        ("is {e} in the {v}", "does the {v} own {e}", "does {e} hang in the {v}"),
    ),
    "city": Wording(
        "city",
        "{e} is kept in {v}",
        ("{e} can be seen in {v}.", "The city where {e} is kept is {v}."),
        ("is {e} kept in {v}", "can {e} be seen in {v}"),
    ),
    "nationality": Wording(
        "painter's nationality",
        "{e} is by a {v} painter",
        ("The painter of {e} was {v}.", "{e} is the work of a {v} artist."),
        ("is {e} by a {v} painter", "is {e} a work of {v} art"),
    ),
    "subject": Wording(
        "subject",
        "{e} shows {v}",
        ("{e} shows {v}.", "{e} depicts {v}.", "The subject of {e} is {v}."),
        ("does {e} show {v}", "is {v} the subject of {e}", "does {e} depict {v}"),
    ),
}
