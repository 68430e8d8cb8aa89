import html.parser
import re

from ferjax.study.numbers_shown import NONE


def test_markdown_shows_theirs_beside_ours_and_every_figure(written):
    folder, _ = written
    text = (folder / "report.md").read_text()
    rows = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert rows["| optimal"].startswith("| optimal | 3 | 78.57 ± 2.38 | 69.32 ± 0.51 | 72.66 to 84.49 | 1.37 |")
    section = text[text.index("## optimal\n") :]
    header = next(line for line in section.splitlines() if line.startswith("| class"))
    assert header.startswith("| class | n | mean | report | std | report | variance | report | max | report | min |")
    disgust = next(line for line in section.splitlines() if line.startswith("| disgust")).strip("| ").split(" | ")
    assert disgust[3] == "78.95"
    assert disgust[7] == "94.665"
    assert disgust[9] == NONE
    assert "It asks whether another set of seeds would show the difference" in text
    assert "another test set" in text
    assert "11 finished runs; 1 not finished and left out. Data: faces.csv, 35,887 rows." in text
    assert "**Difference of macro F1 to optimal, test split**" in text
    assert "for macro F1 2,000 resamples" in text
    assert "69.32, stands above its own maximum, 69.0, as printed there" in text
    assert "does not say whether its deviations divide by n or n - 1" in text
    linked = re.findall(r"\]\((figures/[^)]+)\)", text)
    assert sorted(linked) == sorted(f"figures/{path.name}" for path in (folder / "figures").iterdir())


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.sources, self.links, self.anchors, self.open, self.words = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.sources += [found[name] for name in ("src", "srcset", "data") if name in found]
        self.links += [found["href"]] if "href" in found else []
        self.anchors += [found["id"]] if "id" in found else []
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_one_file_with_everything_inside(written):
    folder, _ = written
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.sources) == len(list((folder / "figures").iterdir()))
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert {link.removeprefix("#") for link in page.links} == set(page.anchors)
    assert all(link.startswith("#") for link in page.links)
    assert "<link" not in text
    assert "<script" not in text
    for words in ("78.57 ± 2.38", "69.32 ± 0.51", "no_augmentation", "another test set"):
        assert any(words in said for said in page.words)


def test_latex_tables_are_whole_and_escaped(written):
    text = (written[0] / "report.tex").read_text()
    environments = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    stack = []
    for kind, name in environments:
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    tables = re.findall(r"\\begin\{tabular\}\{([^\n]+)\}\n(.*?)\\end\{tabular\}\}", text, re.DOTALL)
    # Scores, two tables of differences and one of changes of two splits, and five tables of each of four settings.
    assert len(tables) == 8 + 5 * 4 == text.count("\\caption{") == len(set(re.findall(r"\\label\{(.+)\}", text)))
    for columns, body in tables:
        n = len(re.sub(r"p\{[^}]*\}", "p", columns))
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) >= 2
        assert all(len(re.findall(r"(?<!\\)&", row)) == n - 1 for row in rows)
        assert re.findall(r"\\\w+rule", body) == [r"\toprule", r"\midrule", r"\bottomrule"]
    cells = "".join(body for _, body in tables)
    plain = cells.replace(r"$\pm$", "").replace("$-$", "")
    assert not re.search(r"(?<!\\)[%#_$]", plain)
    assert not re.search(r"[<>|\"~^]", plain)
    assert r"no\_augmentation" in cells
    assert r"78.57 $\pm$ 2.38 & 69.32 $\pm$ 0.51" in cells
