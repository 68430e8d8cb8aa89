"""Find the faces of pictures and videos, and say what they express.

    ferjax predict photo.jpg                            in words
    ferjax predict holiday/ -o out -f csv,html          a folder: a table, and a page with the pictures
    ferjax predict talk.mp4 -o out -f csv --draw        a video: a table, a chart over time, an annotated copy
    ferjax predict holiday/ -o out -f html --explain grad_cam       and where each answer comes from
    ferjax predict 0 -f jsonl                           the camera, until Ctrl-C

A SOURCE is an image, a video, a folder, a glob or the number of a camera. What cannot be read has a row too, is listed
at the end, and makes the exit code 3. docs/predict.md says what each column means. Nothing is sent anywhere.
`python -m ferjax.predict` is the same.
"""

import argparse
import pathlib
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ferjax.cli import endings
from ferjax.cli.flags import FlagMistake, Parser, file_path, whole_number
from ferjax.documents.words import count, list_first, to_line
from ferjax.errors import UserError
from ferjax.interrupt import Interrupt

if TYPE_CHECKING:
    from ferjax.inference import Answer, Counts
    from ferjax.inference.pipeline import Look
    from ferjax.inference.results import Results
    from ferjax.inference.votes import Fusion
    from ferjax.network import Network

# The names of what ferjax.inference has in tables; a test compares them. Its own import takes a second.
FORMATS = ("csv", "json", "jsonl", "parquet", "md", "html")
LAYOUTS = ("deepface", "fer", "pyfeat")
DETECTORS = ("libfacedetection", "mtcnn")
EXPLANATIONS = ("grad_cam", "integrated_gradients")
VIEWS = ("none", "mirror", "shifts", "crops", "mirror_shifts", "mirror_crops", "mirror_shifts_zooms")

_INTERRUPTED = "Interrupted: what was found until then is written."
_LISTED = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, predict, write; return the exit code."""
    return endings.run(
        _create_parser(),
        arguments,
        _predict,
        folder=lambda found: found.output or pathlib.Path(),
        interrupted=_INTERRUPTED,
    )


def _create_parser() -> Parser:
    parser = Parser("ferjax predict", __doc__)
    add = parser.add_argument
    add("source", nargs="+", metavar="SOURCE", help="images, videos, folders, globs, or the number of a camera")
    add("-o", "--output", type=file_path, metavar="DIR", help="where the files go; without it, stdout")
    add(
        "-f",
        "--format",
        type=_parse_formats,
        metavar="NAMES",
        help=f"{', '.join(FORMATS)}, several with commas, or all",
    )
    add(
        "--network",
        type=file_path,
        metavar="RUN",
        help="a run's folder, or a file of Network.save; without it, ferjax's own network",
    )
    add("--views", choices=VIEWS, default="none", help="the views of each face that are averaged")
    add("--stride", type=whole_number(1), default=1, metavar="N", help="of a video take every N-th frame only")
    add(
        "--batch_size",
        type=whole_number(1),
        metavar="N",
        help="faces in a batch; 64, of one picture or a camera 1 or 8",
    )
    add("--detector", choices=DETECTORS, help="what finds the faces; the first that is installed")
    parser.add_switch("--crops", "every picture is a ready crop of one face: no face is sought")
    parser.add_switch("--draw", "write copies with the faces marked to DIR/annotated")
    add("--explain", choices=EXPLANATIONS, help="write copies with where each answer comes from to DIR/explained")
    add("--layout", choices=LAYOUTS, help="write the shapes and class names of another tool")
    add(
        "--context",
        type=file_path,
        metavar="CSV",
        help="another source's votes on the pictures, fused with ferjax's",
    )
    add("--weight", type=_parse_weight, metavar="W", help="how much these votes count, 0..1; else the csv's labels say")
    return parser


def _parse_formats(text: str) -> tuple[str, ...]:
    names = FORMATS if text == "all" else tuple(text.split(","))
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(FORMATS)}, all")
    return tuple(dict.fromkeys(names))


def _parse_weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number within 0 and 1")
    return weight


def _check(found: argparse.Namespace) -> None:
    """Raise a FlagMistake for flags that do not go together."""
    formats = found.format or ()
    if found.output is None and len(formats) > 1:
        raise FlagMistake("Several formats need a folder: -o DIR.")
    if found.output is None and formats in (("parquet",), ("html",)):
        raise FlagMistake(f"-f {formats[0]} needs a folder: -o DIR.")
    if found.output is None and found.draw:
        raise FlagMistake("--draw needs a folder: -o DIR.")
    if found.output is None and found.explain is not None:
        raise FlagMistake("--explain needs a folder: -o DIR.")
    if found.weight is not None and found.context is None:
        raise FlagMistake("--weight is for --context.")
    if found.context is not None and found.output is not None and found.context.suffix[1:] in FORMATS:
        from ferjax.inference.results import FILE_STEM

        if found.context.resolve() == (found.output / f"{FILE_STEM}{found.context.suffix}").resolve():
            raise FlagMistake(f"--context {found.context} lies where the answers go: name another folder with -o DIR.")
    if found.layout is not None:
        allowed = ("json", "jsonl", "csv", "parquet") if found.layout == "pyfeat" else ("json", "jsonl")
        found.format = formats or ("json",)
        if bad := [name for name in found.format if name not in allowed]:
            raise FlagMistake(f"--layout {found.layout} is for -f {', '.join(allowed)}, not for {bad[0]}.")
    elif found.output is not None and not formats:
        found.format = ("csv",)


def _predict(found: argparse.Namespace) -> int:
    _check(found)
    from PIL import Image

    import ferjax
    from ferjax import runtime

    runtime.keep_compiled()
    runtime.find_devices()
    # A large photograph is no reason for a warning; one that is too large for Pillow is a row with its reason.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    from ferjax.inference import Counts, Options, stream
    from ferjax.inference.results import Results, Wanted

    network = ferjax.load(found.network)
    wanted = Wanted(found.output, found.format or (), found.layout, found.draw, found.explain is not None)
    sources = [_to_source(text) for text in found.source]
    options = Options(
        detect=not found.crops,
        detector=found.detector,
        views=found.views,
        stride=found.stride,
        batch_size=found.batch_size,
    )
    counts, start_s = Counts(), time.perf_counter()
    fusion = _create_fusion(found, network, sources, options)
    source = sources[0] if len(sources) == 1 else sources
    answers = stream(
        network,
        source,
        options,
        counts=counts,
        keep_pixels=wanted.pixels,
        change=fusion,
        look=_create_look(network, found.explain),
    )
    with Interrupt(_INTERRUPTED), Results(wanted, network.classes, network.unsure_below) as results:
        for answer in _show_progress(answers):
            results.add(answer)
    _report(results, counts, time.perf_counter() - start_s, found)
    if fusion is not None:
        _report_unused(fusion)
    return endings.UNREADABLE if results.unreadable else 0


def _to_source(text: str) -> str | int:
    return int(text) if text.isdigit() and not pathlib.Path(text).exists() else text


def _create_fusion(
    found: argparse.Namespace, network: "Network", sources: Sequence[Any], options: Any
) -> "Fusion | None":
    """Make what fuses answers with the votes of --context, whose weight is given or fitted on labels; None without."""
    if found.context is None:
        return None
    from ferjax.inference import stream
    from ferjax.inference.votes import Fusion, choose_weight, read_votes

    votes = read_votes(found.context, network.classes)
    weight = found.weight
    if weight is None:
        if not votes.labels:
            raise UserError(f"{found.context} has no labels to learn from how much it counts: say so with --weight.")
        weight, labelled = choose_weight(votes, stream(network, sources, options))
        _say(f"The votes count {weight:.2f}, by the labels of {count(labelled, 'face')}.")
    return Fusion(votes, weight)


def _create_look(network: "Network", method: str | None) -> "Look | None":
    """Make what explains each answer by the method of --explain; None without."""
    if method is None:
        return None
    from ferjax.explain.faces import create_look

    return create_look(network, method)


def _show_progress(answers: "Iterator[Answer]") -> "Iterator[Answer]":
    """Pass answers on, with a bar on stderr where that is a terminal."""
    import tqdm

    with tqdm.tqdm(unit=" faces", unit_scale=True, disable=None, dynamic_ncols=True, leave=False) as bar:
        for pictures, answer in enumerate(answers, start=1):
            yield answer
            bar.set_postfix_str(f"{pictures:,} pictures", refresh=False)
            bar.update(len(answer.faces))


def _report(results: "Results", counts: "Counts", seconds: float, found: argparse.Namespace) -> None:
    """Say on stderr what there was, so that stdout holds the answers alone."""
    labels = ", ".join(f"{number:,} {name}" for name, number in results.labels.most_common())
    rate = results.faces / seconds if seconds else 0.0
    _say(
        f"{count(results.faces, 'face')} in {count(results.pictures, 'picture')}, {rate:,.1f} faces/s"
        f"{': ' if labels else ''}{labels}"
    )
    if results.statuses["unsure"]:
        _say(f"{results.statuses['unsure']:,} of these answers may well be wrong (status unsure).")
    if results.statuses["no_face"]:
        hint = "" if results.faces else "; are they ready crops of faces? Then say --crops"
        _say(f"{count(results.statuses['no_face'], 'picture')} without a face that was found{hint}.")
    for name, skipped in counts.skipped.items():
        if skipped:
            frames = counts.frames[name]
            _say(f"{to_line(name)}: {frames:,} frames, {skipped:,} of them skipped by --stride={found.stride}.")
    for path in results.written:
        _say(f"wrote    {to_line(str(path))}")
    if results.left:
        some = ", ".join(
            f"{path} ({count(files, 'file')})" if path.is_dir() else str(path) for path, files in results.left
        )
        _say(f"From an earlier run, and not of this one's answers: {some}")
    if results.unreadable:
        _say(f"{len(results.unreadable):,} could not be read:")
        for place, reason in results.unreadable[:_LISTED]:
            _say(f"  {place}: {reason}")
        if len(results.unreadable) > _LISTED:
            _say(f"  and {len(results.unreadable) - _LISTED:,} more, which the rows of status unreadable name.")


def _report_unused(fusion: "Fusion") -> None:
    """Say which votes were on none of the faces; raise UserError where none was used, and so the answers are alone."""
    rows, path = fusion.votes.rows, fusion.votes.path
    unused = list(dict.fromkeys(place[0] for place in rows if place not in fusion.used))
    if not unused:
        return
    some = list_first(map(to_line, unused))
    if not fusion.used:
        raise UserError(
            f"{path} votes on none of these faces, and the answers are the network's alone: its column source has "
            f"{some}, and should have the path of a picture as it is given here, or its name."
        )
    _say(f"On none of these faces: {count(len(rows) - len(fusion.used), 'line')} of {path} (source {some}).")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
