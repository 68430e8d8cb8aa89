"""A network for other programs: ONNX, StableHLO, and a folder for model hubs with its card.

A new format is a file with a `FORMAT` of its own and one line in the table here.
"""

import dataclasses
import os
import pathlib
import re
import tempfile
import types
from collections.abc import Mapping, Sequence

from ferjax import arithmetic, paths
from ferjax.errors import UserError
from ferjax.export import hub_folder, onnx_file, stablehlo_file
from ferjax.export.format import TOLERANCE, Exported, Format, Sample, check, create_sample, prepare
from ferjax.export.measured import read_measured
from ferjax.export.model_card import NO_LICENCE, create_card
from ferjax.network import load
from ferjax.networks import saved

FORMATS: Mapping[str, Format] = types.MappingProxyType(
    {
        "onnx": onnx_file.FORMAT,
        "stablehlo": stablehlo_file.FORMAT,
        "safetensors": hub_folder.FORMAT,
    }
)

# What every text of an export holds, the card in YAML and config.json in JSON; other programs' and the user's do not.
_TEXTS, _OURS = (".json", ".md"), re.compile(r"library_name(: |\": \")ferjax")


@dataclasses.dataclass(frozen=True)
class Written:
    """The files of one format, and by how much its probabilities differ at most from the network's."""

    format: str
    files: tuple[pathlib.Path, ...]
    difference: float


def export(
    run: str | pathlib.Path | None,
    folder: str | pathlib.Path,
    formats: Sequence[str] = tuple(FORMATS),
    *,
    views: str = "none",
    storage: str = "24bit",
    name: str | None = None,
    licence: str = NO_LICENCE,
    data_licence: str = "",
) -> list[Written]:
    """Write the network of a run into a folder, in each of the formats; every file is first loaded again and checked.

    `run` is a run's folder; where no format needs a model card, a file by `Network.save` too, or None for the network
    that ferjax brings along. `views` names the
    test-time views that the files average over, `storage` how the ONNX file keeps its numbers (STORAGES), `name` is the
    model's on its card (by default that of the run's folder), `licence` the terms of the weights, as model hubs
    abbreviate them, and `data_licence` those of the images, in words, where they are not the data set's own. Raises
    UserError where there is no network, where a file of another kind lies in a text's place, where a number that the
    card needs was not measured, and where a format does not give the network's probabilities to 1e-4; then it has
    written nothing of that format.
    """
    run, folder = saved.SHIPPED if run is None else paths.parse(run), paths.parse(folder)
    chosen = {each: FORMATS[each] for each in FORMATS if each in formats}
    exported = Exported(prepare(load(run)), views, storage)
    if any(each.needs_card for each in chosen.values()):
        files = [file for each in chosen.values() for file in each.files]
        terms = {"licence": licence, "data_licence": data_licence}
        card = create_card(read_measured(run), exported, name=name or run.resolve().name, files=files, **terms)
        exported = dataclasses.replace(exported, card=card)
    for each in chosen.values():
        _check_free(folder, each)
    folder.mkdir(parents=True, exist_ok=True)
    with arithmetic.fixed():
        sample = create_sample(exported)
        return [_write(each, exported, name, folder, sample) for name, each in chosen.items()]


def list_left(folder: pathlib.Path, formats: Sequence[str]) -> list[str]:
    """Return the files in a folder that are called as those of other formats are; they may be of another network."""
    written = {file for each in formats for file in FORMATS[each].files}
    others = dict.fromkeys(file for each in FORMATS.values() for file in each.files if file not in written)
    return [file for file in others if (folder / file).exists()]


def _check_free(folder: pathlib.Path, chosen: Format) -> None:
    """Raise UserError where a text that is not of an earlier export, such as a run's config.json, would be replaced."""
    for file in chosen.files:
        path = folder / file
        if (
            path.suffix in _TEXTS
            and path.exists()
            and not _OURS.search(path.read_text(encoding="utf-8", errors="replace"))
        ):
            raise UserError(f"{path} is not of an earlier export, and would be replaced: name another folder with -o.")


def _write(chosen: Format, exported: Exported, name: str, folder: pathlib.Path, sample: Sample) -> Written:
    # Within the folder, so that a file moves into its place at once; nothing of a format that fails is left.
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as beside:
        written = pathlib.Path(beside)
        chosen.write(exported, written)
        difference = check(sample, chosen.load(written), folder / chosen.files[0])
        for file in chosen.files:
            os.replace(written / file, folder / file)
    return Written(name, tuple(folder / file for file in chosen.files), difference)


__all__ = ["FORMATS", "NO_LICENCE", "TOLERANCE", "Exported", "Format", "Written", "export", "list_left"]
