from ferjax.figures import (
    draw_class_distribution,
)


def test_class_distribution_leaves_out_an_empty_split(workdir):
    figure = draw_class_distribution(workdir)
    assert [axes.get_title() for axes in figure.axes] == ["train, n = 497", "validation, n = 35"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["70", "7", "70", "140", "70", "70", "70"]
