"""A runtime of somebody else's, in a package of its own."""

PLUGIN = """
import torch
from resbench.timing.runtimes.runtime import Engine
PACKAGE, MODULE, SUFFIX, DTYPES = "pocket", "pocket", ".pt", ("fp32",)
def export(model, args, named, file):
    torch.save(model, file)
def load(file, inputs, conditions):
    torch.set_num_threads(conditions.threads)
    first = {}
    model, tensors = torch.load(file, weights_only=False), [torch.from_numpy(one) for one in inputs]
    return Engine(torch.no_grad()(lambda: [ANSWER]), dict)
"""

RIGHT = "model(*tensors)"


def pocket(folder, answer=RIGHT, version="0.5"):
    """Install it into a folder, as a package that brings a runtime by an entry point; its answers are this."""
    (folder / "pocket.py").write_text(PLUGIN.replace("ANSWER", answer))
    metadata = folder / "pocket-0.5.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pocket\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text("[resbench.runtimes]\npocket = pocket\n")
