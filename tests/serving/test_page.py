"""The page: everything of it comes with the package, and nothing in it is inline."""

import re
from html.parser import HTMLParser

from ferjax.serving.app import PAGE


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def _read():
    reader = _Reader()
    reader.feed((PAGE / "index.html").read_text())
    return reader.tags


def test_every_part_is_served_from_the_package(client):
    parts = [attrs[name] for _, attrs in _read() for name in ("src", "href") if name in attrs]
    assert {"page/page.js", "page/page.css", "page/icon.svg"} <= set(parts)
    for part in parts:
        assert client.get(f"/{part}").status_code == 200
    for path in PAGE.glob("*.js"):
        for name in re.findall(r'(?:from|import\() ?"(\./[^"]+)"', path.read_text()):
            assert (PAGE / name).is_file(), (path, name)


def test_nothing_comes_from_elsewhere_and_nothing_is_inline():
    for path in PAGE.iterdir():
        if path.suffix in (".html", ".js", ".css", ".svg"):
            outside = re.findall(r"(?:https?:)?//[\w.]+\.\w+", path.read_text().replace("http://www.w3.org", ""))
            assert not outside, path
    for tag, attrs in _read():
        assert not [name for name in attrs if name.startswith("on") or name == "style"], (tag, attrs)
        assert tag != "style"
        assert tag != "script" or "src" in attrs


def test_every_control_has_a_name_and_the_notice_is_there():
    tags = _read()
    labelled = {attrs.get("for") for tag, attrs in tags if tag == "label"}
    for tag, attrs in tags:
        if tag == "input":
            assert attrs["id"] in labelled or ("label", {}) in tags or attrs["type"] == "checkbox"
        if tag in ("section", "dialog"):
            assert "aria-labelledby" in attrs
    text = (PAGE / "index.html").read_text()
    assert "EU AI Act, Art. 50(3)" in text
    assert '<html lang="en">' in text
