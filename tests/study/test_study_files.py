import csv
import html.parser
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from written_runs import N, write_run

from ferjax.cli.evaluate import main
from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.report import read_predictions, write_predictions
from ferjax.study.drawing import Drawings
from ferjax.study.group_tables import tabulate_changes, tabulate_scores
from ferjax.study.numbers_shown import NONE
from ferjax.study.study import load_study
from ferjax.study.terminal import format_group

NO_FIGURES = {"optimal": [], "compact": []}
STATISTICS = ["n", "max", "min", "std", "variance", "mean", "standard_error", "t95_low", "t95_high"]


@pytest.fixture(scope="module")
def written(study_folder, capsys_of_module):
    """The study's folder after evaluate, and what evaluate printed."""
    assert main(["--workdir", str(study_folder)]) == 0
    out, err = capsys_of_module()
    assert err == ""
    return study_folder, out


@pytest.fixture(scope="module")
def capsys_of_module():
    import contextlib
    import io

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield lambda: (out.getvalue(), err.getvalue())


@pytest.fixture
def report(written):
    return json.loads((written[0] / "report.json").read_text())


@pytest.fixture
def lines(written):
    with (written[0] / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_terminal_shows_each_setting_and_where_the_files_are(written):
    folder, out = written
    table = out.splitlines()
    assert table[0] == f"test split, {N} images, baseline optimal (the default); percent"
    assert re.split(r"\s{2,}", table[2])[:4] == ["setting", "seeds", "accuracy", "report"]
    optimal = re.split(r"\s{2,}", table[3].strip())
    # 8, 9 and 10 of 42 images are wrong.
    assert optimal[:5] == ["optimal", "3", "78.57 ± 2.38", "69.32 ± 0.51", "72.66 to 84.49"]
    augmentation = re.split(r"\s{2,}", table[4].strip())
    assert augmentation[:2] == ["no_augmentation", "2"]
    assert re.fullmatch(r"-\d+\.\d\d", augmentation[6])
    assert all(re.fullmatch(r"<?[\d.]+ \(<?[\d.]+\)", p) for p in augmentation[7:9])
    assert "validation split, 42 images, baseline batch32 (the same config as optimal, which" in out
    assert f"note     {folder / 'no_augmentation' / 'seed_2'}: not finished, left out" in out
    assert f"figures  {folder / 'figures'}" in out
    for kind in ("md", "csv", "json", "tex", "html"):
        assert str(folder / f"report.{kind}") in out
        assert (folder / f"report.{kind}").stat().st_size > 1000


def test_json_holds_every_score_of_every_seed(report):
    test, validation = report["groups"]
    assert [test["split"], validation["split"]] == ["test", "validation"]
    optimal = test["settings"]["optimal"]
    accuracy = optimal["scores"]["accuracy"]
    values = [34 / 42, 33 / 42, 32 / 42]
    assert accuracy["seeds"] == {str(seed): value for seed, value in enumerate(values)}
    assert accuracy["mean"] == pytest.approx(np.mean(values))
    assert accuracy["std"] == pytest.approx(np.std(values, ddof=1))
    assert accuracy["reference"]["mean"] == 0.6932
    assert list(optimal["per_class"]) == list(EMOTIONS)
    assert all(set(scores) == {"precision", "recall", "f1"} for scores in optimal["per_class"].values())
    assert set(optimal["scores"]) >= {"macro_f1", "weighted_f1", "loss", "calibration_error", "accuracy_without_copies"}
    assert np.array(optimal["confusion"]["1"]).trace() == 33
    assert sum(optimal["calibration"]["count"]) == 3 * N
    comparison = test["comparisons"]["no_augmentation"]
    assert comparison["accuracy"]["over_seeds"]["n"] == 2
    assert comparison["accuracy"]["over_images"]["n"] == comparison["macro_f1"]["over_images"]["n"] == N
    assert optimal["data"]["rows"] == 35_887
    assert (test["images"], optimal["images"]) == (N, N)
    assert report["unfinished"][0].endswith("no_augmentation/seed_2")


def test_csv_is_tidy_and_holds_the_same(report, lines):
    assert list(lines[0]) == ["setting", "split", "metric", "class", "statistic", "value", "reference"]
    assert len({tuple(line.values())[:5] for line in lines}) == len(lines)
    found = {tuple(line.values())[:5]: line for line in lines}
    fear = report["groups"][0]["settings"]["optimal"]["per_class"]["fear"]["f1"]
    for statistic in STATISTICS:
        assert float(found["optimal", "test", "f1", "fear", statistic]["value"]) == fear[statistic]
    assert found["optimal", "test", "f1", "fear", "n"]["value"] == "3"
    assert float(found["optimal", "test", "f1", "fear", "mean"]["reference"]) == 0.5532
    assert found["optimal", "test", "precision", "disgust", "max"]["reference"] == ""
    assert float(found["optimal", "test", "accuracy", "", "seed_2"]["value"]) == 32 / 42
    p = report["groups"][0]["comparisons"]["no_augmentation"]["accuracy"]["over_images"]["p"]
    key = ("no_augmentation", "test", "accuracy_difference_over_images", "", "p")
    assert float(found[key]["value"]) == p
    f1 = report["groups"][0]["comparisons"]["no_augmentation"]["macro_f1"]["over_seeds"]["mean"]
    key = ("no_augmentation", "test", "macro_f1_difference_over_seeds", "", "mean")
    assert float(found[key]["value"]) == f1


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


def test_figures_are_drawn_for_each_setting_and_for_all(written):
    names = {path.name for path in (written[0] / "figures").iterdir()}
    for setting in ("optimal", "no_augmentation", "lr_1e_3", "batch32"):
        assert {f"{setting}_{kind}.png" for kind in ("curves", "confusion", "classes", "reliability")} <= names
    assert {"accuracy_test.png", "accuracy_validation.png", "curves_test.png", "curves_validation.png"} <= names
    # The learning rates' baseline is batch32, whose config is not lr_1e_3's; a lone batch32 is nothing to compare.
    assert "curves_lr.png" in names
    assert "curves_batch.png" not in names
    for name in names:
        with Image.open(written[0] / "figures" / name) as image:
            assert np.ptp(np.asarray(image.convert("L"))) > 100


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


def test_settings_of_different_images_each_have_their_own_count(setting, tmp_path):
    for seed in range(2):
        run = write_run(tmp_path / "fewer" / f"seed_{seed}", seed)
        old = read_predictions(run / "predictions.csv")
        part = {"row": old.row[:30], "labels": old.labels[:30], "probabilities": old.probabilities[:30]}
        write_predictions(run / "predictions.csv", split="test", **part)
    (group,) = load_study([setting, tmp_path / "fewer"]).groups
    table = tabulate_scores(group)
    assert f"{N} images" not in table.caption
    column = table.header.index("images")
    assert [row[column] for row in table.rows] == [str(N), "30"]
    title, _, header, *rows = format_group(group).splitlines()
    assert title.startswith("test split, baseline optimal")
    assert header.split()[:2] == ["setting", "images"]
    assert [row.split()[1] for row in rows] == [str(N), "30"]
    (row,) = tabulate_changes(group).rows
    assert "seeds: evaluated on different rows of the test split; images: not comparable" in row[1]


def test_output_goes_where_it_is_told(setting, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ferjax.study.evaluation.draw_study", lambda *_: Drawings({"test": []}, [], {"optimal": []}))
    output = tmp_path / "new" / "place"
    assert main(["--workdir", str(setting), "--output", str(output)]) == 0
    assert {path.name for path in output.iterdir()} == {
        "report.md", "report.csv", "report.json", "report.tex", "report.html",
    }  # fmt: skip
    assert not (setting / "report.json").exists()
    assert "baseline optimal" in capsys.readouterr().out


def test_a_run_beside_its_repeats_has_a_report_and_they_have_one(setting, capsys, monkeypatch):
    monkeypatch.setattr("ferjax.study.evaluation.draw_study", lambda *_: Drawings({"test": []}, [], {"optimal": []}))
    monkeypatch.setattr("ferjax.study.evaluation.draw_all", lambda _: [])
    write_run(setting, 7, wrong=21)
    assert main(["--workdir", str(setting)]) == 0
    assert json.loads((setting / "report.json").read_text())["accuracy"] == 0.5
    (group,) = json.loads((setting / "repeats" / "report.json").read_text())["groups"]
    assert list(group["settings"]["optimal"]["scores"]["accuracy"]["seeds"]) == ["0", "1", "2"]
    out = capsys.readouterr().out
    assert str(setting / "report.md") in out
    assert str(setting / "repeats" / "report.md") in out
    assert f"note     {setting}: the run in this folder itself is left out" in out
    # What was written there is no run: the next time finds the same.
    assert main(["--workdir", str(setting), "--output", str(setting.parent / "other")]) == 0
    assert "optimal" in capsys.readouterr().out


def test_lone_runs_are_set_side_by_side(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ferjax.study.evaluation.draw_study", lambda *_: Drawings({"test": []}, [], NO_FIGURES))
    write_run(tmp_path / "optimal", 0)
    write_run(tmp_path / "compact", 0, changes={"model.name": "compact"})
    assert main(["--workdir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "baseline optimal (the default)" in out
    assert re.search(r"^compact +1 ", out, re.MULTILINE)


def fail(capsys, *arguments):
    assert main(list(map(str, arguments))) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ferjax: ")
    assert err.count("\n") == 1
    return err


def test_a_runs_own_report_is_not_overwritten(setting, capsys):
    run = setting / "seed_0"
    for arguments in ((run, setting / "seed_1"), (setting, "--output", run)):
        assert f"{run} is the folder of a run" in fail(capsys, "--workdir", *arguments)
    assert not (run / "report.json").exists()


def test_mistakes_are_one_sentence(setting, tmp_path, capsys):
    assert "--baseline=best is not one setting" in fail(capsys, "--workdir", setting, "--baseline", "best")
    (tmp_path / "file").write_text("")
    assert f"{tmp_path / 'file'}" in fail(capsys, "--workdir", setting, "--output", tmp_path / "file")
    write_run(setting / "seed_7", 2)
    assert "same train.seed, 2" in fail(capsys, "--workdir", setting)
    shutil.rmtree(setting)
    assert "is not a folder" in fail(capsys, "--workdir", setting)
    assert "is not a folder" in fail(capsys, "--workdir", setting, tmp_path)
