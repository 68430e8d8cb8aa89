"""onnxruntime on the file that ferjax exported: from stored pixels to probabilities, as ferjax's own call."""

from ferjax.export import onnx_file
from scripts.benchmarks.peers.pictures import check_faces, find_beside, read_crops
from scripts.benchmarks.protocol import Step, Wait


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
    """Make a step of 'crops'; onnxruntime takes all cores that the process may use, which the driver limits."""
    run = onnx_file.load(find_beside(data, onnx_file.FILE).parent)
    crops = read_crops(data, batch)[..., None]
    check_faces(len(run(crops)), task, batch)
    return lambda: run(crops), lambda _: None
