"""What ferjax brings along and takes in: no pickle is read by it, and what it downloads is checked."""

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
_CALLS = ("eval", "exec")
# The reader of torch's files walks through a pickle's opcodes and obeys none but those that it knows.
_READS_OPCODES = "networks/weights/torch_file.py"


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Read every source; the arguments are those of all drills."""
    root = pathlib.Path(ferjax.__file__).parent
    sources = sorted(root.rglob("*.py"))
    for path in sources:
        faults = find_faults(path.read_text(encoding="utf-8"))
        if path.relative_to(root).as_posix() == _READS_OPCODES:
            faults = [fault for fault in faults if not fault.startswith("pickle")]
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
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in _FORBIDDEN:
            faults.append(str(node.module))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            faults.append(f"{node.func.id}() in line {node.lineno}")
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            faults.append("allow_pickle")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
            if not any(keyword.arg == "allow_pickle" for keyword in node.keywords):
                faults.append(f"np.load without allow_pickle=False in line {node.lineno}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("yaml.load", "torch.load"):
            faults.append(f"{ast.unparse(node.func)} in line {node.lineno}")
    return faults
