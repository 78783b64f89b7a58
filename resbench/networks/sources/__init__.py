"""Everyone else's models have names too: ``torchvision:resnet50``, ``timm:...``, a factory, an exported program.

    torchvision:NAME            torchvision.models.get_model(NAME)
    timm:NAME                   timm.create_model(NAME)
    hf:ID or hf:DIRECTORY       the configuration alone, random weights
    package.module:factory      runs the module's code
    file:path.py:factory        runs the file's code
    pt2:path                    a program saved by torch.export.save
    onnx:path                   a graph, which is counted and never run
    PLUGIN:NAME                 an entry point of the group ``resbench.models``: a function of NAME and options

``key=value`` after commas goes to the factory. A file of this folder is one source: its function ``find``.
"""

import ast
import importlib
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from types import ModuleType
from typing import TYPE_CHECKING, Any

from resbench.arch.catalog import Size
from resbench.arch.entry import IMAGENET
from resbench.arch.published import PublishedCost
from resbench.errors import SourceError, first_line, foreign
from resbench.networks.inputs import ModelInput
from resbench.networks.name import ModelName

if TYPE_CHECKING:
    from torch import Tensor

    from resbench.graphs.reading import GraphFile

Options = dict[str, Any]

DEFAULT_INPUT = IMAGENET
SOURCES = {
    **{name: name for name in ("torchvision", "timm", "hf", "pt2", "onnx")},
    "file": "python",
}
"""Each source has a file in this folder; every other one is a Python module."""


@dataclass(frozen=True)
class Found:
    """A source gives a module, an architecture, an expression or a graph, and the image that it is meant for.

    ``inputs`` stand where it is meant for others than an image; ``tensors`` are those of an exported program.
    A graph is made of nothing else.
    """

    made: Any
    source: str
    shape: Size = DEFAULT_INPUT
    published: tuple[PublishedCost, ...] = ()
    tensors: "tuple[Tensor, ...]" = ()
    inputs: tuple[ModelInput, ...] = ()
    graph: "GraphFile | None" = None


def find(name: ModelName, device: str) -> Found:
    """Ask a name's source, for weights on ``device`` where that is possible. Raises SourceError."""
    options = {key: _literal(word) for key, word in name.options}
    if name.source not in SOURCES:
        from importlib.metadata import entry_points  # it takes long, and reads what every installed package says

        for point in entry_points(group="resbench.models", name=name.source):
            return Found(call(point.load(), (name.base,), options, name.head, device), name.source)
    source = importlib.import_module(f"{__name__}.{SOURCES.get(name.source, 'python')}")
    return source.find(name, options, device)  # type: ignore[no-any-return]


def call(factory: Callable[..., Any], arguments: tuple[Any, ...], options: Options, name: str, device: str) -> Any:
    """Call a factory; whatever it raises becomes one line.

    Where the meta device is asked for and the factory looks at values while it builds, only its parameters go there.
    """

    def say(error: BaseException) -> str:
        hint = "; give its arguments as key=value after commas" if isinstance(error, TypeError) else ""
        return f"{name}: the factory raised {type(error).__name__}: {first_line(error)}{hint}"

    with foreign(SourceError, say):
        try:
            with on(device):
                return factory(*arguments, **options)
        except (RuntimeError, NotImplementedError):
            if device != "meta" or "torch" not in sys.modules:
                raise
            with on("cpu"), _parameters_on_meta():
                return factory(*arguments, **options)


def _parameters_on_meta() -> AbstractContextManager[Any]:
    """Each parameter moves to the meta device as its module takes it, before it is ever initialised; ties stay."""
    from torch import nn

    moved: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}

    def on_meta(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter:
        if type(parameter) is not nn.Parameter or parameter.is_meta:
            return parameter
        twin = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)
        return moved.setdefault(id(parameter), (parameter, twin))[1]

    return nn.modules.module.register_module_parameter_registration_hook(on_meta)  # type: ignore[arg-type]  # no result


def on(device: str) -> AbstractContextManager[Any]:
    """Torch makes tensors on this device; code that does not need torch goes without."""
    torch = sys.modules.get("torch")
    if torch and device == "meta":
        return importlib.import_module("resbench.networks.blank").blank()  # type: ignore[no-any-return]
    return torch.device(device) if torch else nullcontext()


def package(name: str, extra: str = "") -> ModuleType:
    """Import a package when a model of it is asked for. Raises SourceError where that does not work.

    The extra of resbench that installs it is ``extra``, or else called as the package is.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SourceError(f"{name} is not installed; pip install 'resbench[{extra or name}]'") from error
    except Exception as error:  # torchvision built for another torch raises RuntimeError, not ImportError
        from importlib.metadata import version

        reason = f"{type(error).__name__}: {first_line(error)}"
        raise SourceError(
            f"{name} does not import beside torch {version('torch')} ({reason}); install the build that fits it"
        ) from error


def check_known(name: str, names: Sequence[str], source: str) -> None:
    """Raise SourceError, with the nearest names, for a model that its source does not list."""
    if name not in names:
        near = " or ".join(get_close_matches(name, names, n=3))
        raise SourceError(f"{source} has no model {name!r}; {f'did you mean {near}?' if near else 'see its list'}")


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word
