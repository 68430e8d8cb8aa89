import html
import re

import pytest

from ferjax.documents.aligned_text import to_text
from ferjax.documents.csv_columns import to_csv
from ferjax.documents.html_page import document, image, paragraph, to_html
from ferjax.documents.latex import escape_latex, to_latex
from ferjax.documents.markdown import escape_markdown, to_markdown
from ferjax.documents.table import Table
from ferjax.documents.words import size

TABLE = Table(
    ("name", "n", "why"),
    (("a_b", "10", "5% of <x>"), ("c", "9", "")),
    caption="A [caption]",
    words=("name", "why"),
    strong=frozenset({(0, 1)}),
)


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a row of 1 cells in a table of 2 columns"):
        Table(("a", "b"), (("1",),))


def test_markdown():
    assert to_markdown(TABLE).splitlines() == [
        r"**A \[caption\]**",
        "",
        "| name | n | why |",
        "|---|---:|---|",
        r"| a\_b | **10** | 5% of \<x\> |",
        "| c | 9 |  |",
    ]
    assert to_markdown(Table(("n",), (("1",),))) == "| n |\n|---:|\n| 1 |\n"
    assert escape_markdown("a|b_c*<d>") == r"a\|b\_c\*\<d\>"


def test_aligned_text():
    assert to_text(TABLE).splitlines() == ["name   n  why", "a_b   10  5% of <x>", "c      9"]
    assert to_text(TABLE, gap=1, least_widths=(6, 1, 1)).splitlines()[1] == "a_b    10 5% of <x>"


def test_latex():
    lines = to_latex(TABLE, "a b_c").splitlines()
    assert r"\caption{A {[}caption{]}}" in lines
    assert r"\label{tab:a-b-c}" in lines
    assert r"\begin{tabular}{lrp{0.5\textwidth}}" in lines
    assert r"a\_b & \textbf{10} & 5\% of \textless{}x\textgreater{} \\" in lines
    assert r"\begin{tabular}{rr}" in to_latex(Table(("a", "b"), ()), "x")


def test_latex_escapes_special_characters():
    assert escape_latex(r"a_b & 5% #1 {x} $y$ ~ ^ \z") == (
        r"a\_b \& 5\% \#1 \{x\} \$y\$ \textasciitilde{} \textasciicircum{} \textbackslash{}z"
    )
    assert escape_latex("-1.5, -2 to +3") == "$-$1.5, $-$2 to +3"
    assert escape_latex("a -> [b*]") == r"a {-}\textgreater{} {[}b{*}{]}"


def test_html():
    text = to_html(TABLE)
    assert '<td class="left">5% of &lt;x&gt;</td>' in text
    # The style sheet sets the first column to the left, and its words may not run over lines.
    assert "<th>name</th><th>n</th>" in text
    assert "<td><strong>10</strong></td>" in text


def test_a_page_escapes_its_texts_and_links_its_sections():
    page = document("<T>", "lead & more", [("one", "First <1>", paragraph("a < b") + image(b"png", '"quoted"'))])
    assert "<title>&lt;T&gt;</title>" in page
    assert '<a href="#one">First &lt;1&gt;</a>' in page
    assert '<section id="one">' in page
    assert "<p>a &lt; b</p>" in page
    assert html.unescape(re.search('alt="([^"]*)"', page)[1]) == '"quoted"'


def test_csv_has_every_digit():
    assert to_csv({"a": [0.1, 2 / 3], "b": ["x,y", ""]}) == 'a,b\n0.1,"x,y"\n0.6666666666666666,\n'


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "1 byte"),
        (624, "624 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.00 MB"),
        (5e9, "5,000.00 MB"),
    ],
)
def test_a_size_has_the_unit_that_suits_it(number, said):
    assert size(int(number)) == said
