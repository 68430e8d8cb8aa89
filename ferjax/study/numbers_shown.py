"""How a study shows its numbers: the digits and the units of a score, a difference, an interval and a p value."""

from ferjax.study.summary import NOT_IN_PERCENT, Score

NONE = "\N{EN DASH}"


def show_percent(value: float | None) -> str:
    """Show a share in percent, without the sign."""
    return NONE if value is None else f"{100 * value:.2f}"


def show_difference(value: float | None) -> str:
    """Show a difference of shares in percentage points."""
    return NONE if value is None else f"{100 * value:+.2f}"


def show_p(value: float | None) -> str:
    """Show a p value with three digits, or that it is smaller than they can show."""
    if value is None:
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def show_statistic(score: Score, name: str, value: float | None) -> str:
    """Show a statistic of a score: a share in percent, its variance in squared percent, another number as it is."""
    if value is None:
        return NONE
    if score.metric in NOT_IN_PERCENT:
        return f"{value:.4f}"
    return f"{1e4 * value:.3f}" if name == "variance" else f"{100 * value:.2f}"


def show_mean_and_std(score: Score) -> str:
    """Show the mean over the seeds, and their deviation where there are several."""
    mean = show_statistic(score, "mean", score.description.mean)
    return mean if score.description.std is None else f"{mean} ± {show_statistic(score, 'std', score.description.std)}"


def show_reference(score: Score) -> str:
    """Show the published mean, and its deviation where that is published too."""
    if "mean" not in score.reference:
        return NONE
    std = score.reference.get("std")
    return show_percent(score.reference["mean"]) + ("" if std is None else f" ± {show_percent(std)}")


def show_interval(score: Score) -> str:
    """Show the t interval of the mean."""
    low, high = score.description.t95_low, score.description.t95_high
    if low is None:
        return NONE
    return f"{show_statistic(score, 'mean', low)} to {show_statistic(score, 'mean', high)}"
