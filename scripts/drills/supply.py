"""What ferjax brings along and takes in: it obeys no pickle, and what it downloads is checked."""

import ast
import gzip
import hashlib
import pathlib
import random
import re
from collections.abc import Iterator

import ferjax
from ferjax import networks
from ferjax.serving.browser import RUNTIME
from scripts.drills.drill import expect

# Ways of running what a file says. A config file is a program that the user writes, and is run as one.
_FORBIDDEN = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
_CALLS = ("eval", "exec", "compile", "__import__")
_LOADERS = (
    *("yaml.load", "yaml.unsafe_load", "torch.load", "models.load_model", "pd.read_pickle", "pandas.read_pickle"),
    "serialize_executable.deserialize_and_load",
)
# The reader of torch's files has an unpickler that knows the few names of torch's arrays, and refuses all others.
_READS_OPCODES = "networks/weights/torch_file.py"


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Read every source; the arguments are those of all drills."""
    root = pathlib.Path(ferjax.__file__).parent
    sources = sorted(root.rglob("*.py"))
    for path in sources:
        faults = find_faults(path.read_text(encoding="utf-8"))
        if path.relative_to(root).as_posix() == _READS_OPCODES:
            faults = [fault for fault in faults if fault not in ("pickle", "pickletools")]
        expect(not faults, f"{path}: {', '.join(faults)}")
    yield f"{len(sources)} sources: no pickle, no eval, and numpy loads no objects"
    unknown = [
        file.name
        for entry in networks.NETWORKS.values()
        for source in entry.published.values()
        for file in source.files
        if not file.digest
    ]
    yield f"published files without a digest of their own, held to the server's: {unknown or 'none'}"
    for digest, name in find_digests():
        packed = RUNTIME / f"{name}.gz"
        expect(hashlib.sha256(gzip.decompress(packed.read_bytes())).hexdigest() == digest, f"{packed} is another file")
    yield f"onnxruntime-web: {', '.join(name for _, name in find_digests())} are the published ones"


def find_digests() -> list[tuple[str, str]]:
    """Return the SHA-256 and the name of each file of onnxruntime-web, as its README lists them."""
    return re.findall(r"^ +([0-9a-f]{64})  (\S+)$", (RUNTIME / "README.md").read_text(), re.MULTILINE)


def find_faults(source: str) -> list[str]:
    """Return what in a source could run what a file says."""
    faults = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            faults += [alias.name for alias in node.names if alias.name.partition(".")[0] in _FORBIDDEN]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            faults += [name for name in names if name.partition(".")[0] in _FORBIDDEN or _is_loader(name)]
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            faults.append("allow_pickle")
        elif isinstance(node, ast.Call):
            faults += [f"{fault} in line {node.lineno}" for fault in _find_call(node)]
    return faults


def _find_call(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    if called in _CALLS or _is_loader(called):
        yield called
    elif called in ("np.load", "numpy.load") and not any(word.arg == "allow_pickle" for word in node.keywords):
        yield "np.load without allow_pickle=False"
    elif called.endswith("import_module"):
        named = [str(word.value) for word in node.args if isinstance(word, ast.Constant)]
        yield from (name for name in named if name.partition(".")[0] in _FORBIDDEN)


def _is_loader(name: str) -> bool:
    return any(name == loader or name.endswith(f".{loader}") for loader in _LOADERS)
