"""The words of a model card that are the same for every run."""

from collections.abc import Sequence

from ferjax.export.format import Exported

INTENDED_USE = """\
For research and teaching on facial-expression recognition, for comparing methods, and for applications in which people
know of it and agree to it, and in which a wrong answer harms nobody.

Not for decisions about people: not at work, in education, in hiring, in policing, in insurance, in medicine, or at
borders. Not for watching people who do not know. The answer says which of some words other people would most likely
choose for a face in a picture. It does not say what the person feels: faces and feelings do not match one to one
(Barrett et al. 2019, Emotional Expressions Reconsidered, Psychological Science in the Public Interest 20(1))."""

LAW = """\
In the European Union, Regulation (EU) 2024/1689 (the AI Act) has rules for systems that infer emotions from faces. Read
them before you use this model there; this is a pointer and no legal advice.

- Article 5(1)(f) prohibits placing on the market, putting into service for this purpose, and using AI systems to infer
  emotions of a natural person in the areas of workplace and education institutions, except for medical or safety
  reasons.
- Article 50(3) obliges those who deploy an emotion recognition system to inform the people who are exposed to it, and
  to process personal data as data-protection law says.
- Annex III, point 1(c), lists emotion recognition among the uses that count as high-risk.

Pictures of faces are personal data in many countries."""

UNMEASURED_BIAS = """\
Not measured, since the data have no such labels: how the scores differ by age, sex, skin tone, culture, glasses, beard,
disability, head pose, light and camera. Published studies of such data sets found differences; assume them here until
you have measured your own people and pictures."""


def limits(exported: Exported) -> str:
    """Say what the network cannot do, whatever it scored."""
    height, width, channels = exported.network.image_shape
    colour = "gray" if channels == 1 else "colour"
    return (
        f"- It expects one upright face that fills the picture, {width}x{height} pixels, {colour}. It does not look "
        "for faces, and gives an answer for a picture without one.\n"
        f"- It chooses among {len(exported.network.classes)} words; mixed and other expressions get the nearest.\n"
        "- It sees one picture, without what came before it, who it is, and what happens around.\n"
        "- Its labels are those of the data set, with its mistakes; on other pictures expect lower scores than here."
    )


def use(exported: Exported, files: Sequence[str]) -> str:
    """Show how each of the files is used."""
    height, width, channels = exported.network.image_shape
    shape = f"[n, {height}, {width}, {channels}]"
    views = "" if exported.views == "none" else f", views={exported.views!r}"
    shown = {
        "model.safetensors": f"""\
import ferjax

network = ferjax.load("model.safetensors")
probabilities = network(images{views})  # pictures of faces of any size, [n, h, w] or [n, h, w, c], 0..255""",
        "model.onnx": f"""\
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
(probabilities,) = session.run(None, {{"images": images}})  # uint8 {shape}, values 0..255""",
        "model.stablehlo": f"""\
import jax, pathlib

program = jax.export.deserialize(bytearray(pathlib.Path("model.stablehlo").read_bytes()))
probabilities = program.call(images)  # uint8 {shape}, values 0..255""",
    }
    blocks = [f"`{name}`:\n\n```python\n{text}\n```" for name, text in shown.items() if name in files]
    order = ", ".join(exported.network.classes)
    return "\n\n".join([*blocks, f"The probabilities are in the order {order}, and they are calibrated."])
