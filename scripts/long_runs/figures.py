"""The figures of long runs."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from ferjax.figures.style import BLUE, DASHES, GRAY, INK, ORANGE, set_title, styled, tidy
from scripts.long_runs.study import LONGEST_S, MOST_MB, Measured
from scripts.long_runs.training import Seen


@styled
def draw_training(seen: Sequence[Seen]) -> Figure:
    """Draw memory, open files and speed over the steps of a run."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    memory, files, speed = figure.subplots(3, 1, sharex=True, height_ratios=(2, 1, 2))
    steps = [one.step for one in seen]
    memory.plot(steps, [one.memory_mb for one in seen], color=BLUE)
    memory.set_ylabel("memory (MB)")
    files.plot(steps, [one.files for one in seen], color=GRAY)
    files.set_ylabel("open files")
    speed.plot(steps, [one.steps_per_cpu_s for one in seen], color=ORANGE, linewidth=0.8)
    speed.set_ylabel("steps a second\nof processor time")
    speed.set_xlabel("steps")
    for axes in (memory, files, speed):
        axes.set_ylim(bottom=0, top=1.25 * axes.dataLim.y1)
        tidy(axes)
    set_title(figure, f"A run of {steps[-1]:,} steps, a point for each epoch, validation and saving included")
    return figure


@styled
def draw_study(measured: Sequence[Measured]) -> Figure:
    """Draw the time and the memory of an evaluation over the runs of its study."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    seconds, memory = figure.subplots(2, 1, sharex=True)
    runs = [one.runs for one in measured]
    seconds.plot(runs, [one.cpu_s for one in measured], "o-", color=BLUE)
    seconds.axhline(LONGEST_S, color=INK, linestyle=DASHES, linewidth=1)
    seconds.set_ylabel("processor time (s)")
    memory.plot(runs, [one.peak_mb for one in measured], "o-", color=ORANGE)
    memory.axhline(MOST_MB, color=INK, linestyle=DASHES, linewidth=1)
    memory.set_ylabel("most memory (MB)")
    memory.set_xlabel("runs of 3,589 images, ten to a setting")
    memory.set_xlim(left=0)
    for axes in (seconds, memory):
        axes.set_ylim(bottom=0)
        tidy(axes)
    set_title(figure, "ferjax evaluate on a study; dashed: what it may take for 200 runs")
    return figure
