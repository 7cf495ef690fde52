"""Novels."""

from welltuned.data.yesno.wording import Wording, years

WORDING: dict[str, Wording] = {
    "author": Wording(
        "author",
        "{e} was written by {v}",
        ("{e} was written by {v}.", "{v} wrote {e}.", "The author of {e} is {v}."),
        ("did {v} write {e}", "is {v} the author of {e}", "is {e} a novel by {v}"),
    ),
    "published": Wording(
        "year of publication",
        "{e} appeared as a book in {v}",
        ("{e} appeared as a book in {v}.", "The first book edition of {e} dates from {v}."),
        ("was {e} published as a book in {v}", "is {v} the year of publication of {e}"),
        years("was {e} published {c} {f}", "was {e} the {s} of the three to be published"),
    ),
    "language": Wording(
        "original language",
        "{e} was written in {v}",
        ("{e} was written in {v}.", "The original language of {e} is {v}."),
        ("is {v} the original language of {e}", "was {e} first written in {v}"),
    ),
    "nationality": Wording(
        "author's nationality",
        "{e} is by a writer whose nationality is {v}",
        ("The writer of {e} was {v} by nationality.", "{e} counts as a {v} novel."),
        ("is {e} a {v} novel", "is {e} the work of a {v} writer"),
    ),
    "setting": Wording(
        "setting",
        "{e} is set in {v}",
        ("{e} is set in {v}.", "The story of {e} takes place in {v}.", "{v} is a setting of {e}."),
        ("is {e} set in {v}", "does {e} take place in {v}"),
    ),
    "characters": Wording(
        "character",
        "{v} is a character in {e}",
        ("The characters of {e} include {v}.", "In {e} the reader meets {v}."),
        ("is {v} a character in {e}", "does {v} appear in {e}", "is {v} one of the characters of {e}"),
    ),
}
