from written_runs import N, write_run

from ferjax.report import read_predictions, write_predictions
from ferjax.study.group_tables import tabulate_changes, tabulate_scores
from ferjax.study.study import load_study
from ferjax.study.terminal import format_group


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
