"""Pages in HTML: one file that holds everything, readable on light and dark screens and on paper."""

import base64
import html
from collections.abc import Iterable

from ferjax.documents.table import Table

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #ffffff; --faint: #6b6b6b; --line: #dddddd;
  --band: #f5f6f7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --faint: #a0a0a0; --line: #3a3a3a;
  --band: #202122; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 84rem;
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p.lead, p.note, figcaption { color: var(--faint); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; background: var(--band); white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child, .left { text-align: left; }
td.left { white-space: normal; min-width: 16rem; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
.gallery { display: flex; flex-wrap: wrap; gap: .8rem 1.2rem; align-items: flex-start; }
.gallery figure { margin: 0; width: min-content; } .gallery figure img { max-width: none; }
.gallery figcaption { font-size: .8rem; line-height: 1.3; }
@media (max-width: 84rem) { table { font-size: .82rem; } th, td { padding: .25rem .4rem; } }
nav a { margin-right: 1rem; white-space: nowrap; } a { color: inherit; }
@media print { body { max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""


def document(title: str, lead: str, sections: Iterable[tuple[str, str, str]]) -> str:
    """Write a page of `sections`, each (anchor, heading, body); title, lead and headings are text, bodies are HTML."""
    parts = list(sections)
    links = " ".join(f'<a href="#{anchor}">{html.escape(heading)}</a>' for anchor, heading, _ in parts)
    bodies = "".join(
        f'<section id="{anchor}"><h2>{html.escape(heading)}</h2>{body}</section>' for anchor, heading, body in parts
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{html.escape(title)}</h1><p class="lead">{html.escape(lead)}</p><nav>{links}</nav>{bodies}</body></html>'
    )


def to_html(table: Table) -> str:
    """Write a table, without its caption."""
    # The style sheet sets the first column to the left by itself.
    places = [' class="left"' if words and i else "" for i, words in enumerate(table.list_words())]
    head = "".join(f"<th{place}>{html.escape(name)}</th>" for name, place in zip(table.header, places, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{place}>{_embolden(*cell)}</td>" for cell, place in zip(row, places, strict=True))
        + "</tr>"
        for row in table.mark_cells()
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _embolden(cell: str, strong: bool) -> str:
    return f"<strong>{html.escape(cell)}</strong>" if strong else html.escape(cell)


def paragraph(text: str, *, note: bool = False) -> str:
    """Write text as a paragraph; a note is set fainter."""
    opening = '<p class="note">' if note else "<p>"
    return f"{opening}{html.escape(text)}</p>"


def image(data: bytes, caption: str, *, kind: str = "png") -> str:
    """Put a picture, a PNG or JPEG file, into the page itself; its caption is also for those who cannot see it."""
    text = base64.b64encode(data).decode("ascii")
    said = html.escape(caption)
    return f'<figure><img alt="{said}" src="data:image/{kind};base64,{text}"><figcaption>{said}</figcaption></figure>'


def gallery(images: Iterable[str]) -> str:
    """Set small pictures, made by image(), in rows as wide as the page."""
    return f'<div class="gallery">{"".join(images)}</div>'
