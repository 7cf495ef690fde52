from hypothesis import given
from hypothesis import strategies as st

from welltuned.report import markup
from welltuned.report.markup import Column, Group, element


def test_text_is_escaped_and_markup_is_kept():
    inner = element("b", "a < b")
    assert element("p", "x & ", inner, title='"q"') == '<p title="&quot;q&quot;">x &amp; <b>a &lt; b</b></p>'


@given(st.text())
def test_no_text_can_open_a_tag_or_leave_an_attribute(text):
    made = element("p", text, title=text)
    assert made.count("<") == 2
    assert made.count('"') == 2


def test_names_of_attributes_and_elements_without_end():
    assert element("img", alt="", class_="a", aria_label="b") == '<img alt="" class="a" aria-label="b">'


def test_table_has_caption_scopes_and_groups():
    made = markup.table(
        "Cap", [Column("a"), Column("b", numeric=True), Column("c")],
        Group([["x", "1", "y"]]), Group([["z", "why it failed"]], "Failed"), Group([], "Empty"),
    )  # fmt: skip
    assert "<caption>Cap</caption>" in made
    assert made.count('scope="col"') == 3
    assert made.count('scope="row"') == 2
    assert '<th scope="rowgroup" colspan="3">Failed</th>' in made
    assert '<td colspan="2" class="text">why it failed</td>' in made
    assert "Empty" not in made
