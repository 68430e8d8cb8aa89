import re

from written_runs import N


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
