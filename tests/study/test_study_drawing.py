import numpy as np
from PIL import Image


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
