"""The images of every class and split, from data.json, as a figure."""

import json
import pathlib

import numpy as np
from matplotlib.figure import Figure

from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.errors import UserError
from ferjax.figures.style import BLUE, INK, set_title, styled, tidy
from ferjax.workdir import DATA_FILE


def read_counts(path: pathlib.Path) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    """Read from data.json the images of each class for every split, and the names of the classes.

    Files of an older version name no classes: theirs are FER-2013's. Raises UserError for a broken file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        counts: dict[str, list[int]] = data["counts"]
        classes = tuple(data.get("classes", EMOTIONS))
        if any(len(n) != len(classes) for n in counts.values()):
            raise ValueError(f"it counts other classes than {', '.join(classes)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}); delete it to do without its figure") from None
    return counts, classes


@styled
def draw_class_distribution(workdir: pathlib.Path) -> Figure:
    """Draw the images of every class, in a panel for each split that has any."""
    read, classes = read_counts(workdir / DATA_FILE)
    counts = {split: np.array(n) for split, n in read.items() if sum(n)}
    figure = Figure(figsize=(3.6 * max(len(counts), 1) + 0.6, 3.8), layout="constrained")
    panels = figure.subplots(1, max(len(counts), 1), sharey=True, squeeze=False)[0]
    for axes, (split, n) in zip(panels, counts.items(), strict=False):
        shares = 100 * n / n.sum()
        bars = axes.barh(classes, shares, color=BLUE, height=0.7)
        axes.bar_label(bars, [f"{count:,}" for count in n], padding=3, fontsize=8, color=INK)
        axes.set_xlim(0, 1.25 * max((100 * m / m.sum()).max() for m in counts.values()))
        axes.set_xlabel("share of the split (%)")
        axes.set_title(f"{split}, n = {n.sum():,}", fontsize=10, color=INK)
        tidy(axes, grid="x")
        axes.tick_params(axis="y", length=0)
    panels[0].invert_yaxis()
    set_title(figure, "Images per class and split")
    return figure
