import numpy as np
from written_runs import N, edit_json

from ferjax.study.settings import load_setting
from ferjax.study.study import load_study


def test_copies_mark_the_rows_that_data_json_lists(setting):
    folders = sorted(setting.iterdir())
    run = load_setting("optimal", folders).runs[0]
    assert run.copied.tolist() == [True, True] + [False] * (N - 2)
    edit_json(folders[0] / "data.json", copies={"validation": [100]})
    assert load_setting("optimal", folders).runs[0].copied is None
    # Copies known of some seeds only: no score without copies, since it would be of fewer seeds than n says.
    (summary,) = load_study([setting]).summaries
    assert not any("without_copies" in score.metric for score in summary.scores)


def test_scores_without_copies_leave_those_images_out(setting):
    (summary,) = load_study([setting]).summaries
    run = summary.setting.runs[0]
    right = run.probabilities.argmax(axis=1) == run.labels
    assert summary.get("accuracy_without_copies").values[0] == right[2:].mean()
    assert summary.get("accuracy").values[0] == right.mean() == (N - 10) / N
    assert summary.copies == 2
    np.testing.assert_allclose(
        summary.get_correctness(),
        np.mean([r.probabilities.argmax(axis=1) == r.labels for r in summary.setting.runs], axis=0),
    )
