"""Everyone else's models, by name: ``torchvision:resnet50``, ``timm:...``, ``hf:...``, a factory, an exported program.

    torchvision:NAME            torchvision.models.get_model(NAME)
    timm:NAME                   timm.create_model(NAME)
    hf:ID or hf:DIRECTORY       the configuration alone, random weights
    package.module:factory      runs the module's code
    file:path.py:factory        runs the file's code
    pt2:path                    a program saved by torch.export.save
    PLUGIN:NAME                 an entry point of the group ``resbench.models``: a function of NAME and options

``key=value`` after commas goes to the factory.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch._library.custom_ops import CustomOpDef

from resbench.arch.published import PublishedCost
from resbench.errors import SourceError, first_line, foreign

Options = dict[str, Any]
Inputs = tuple[int, ...] | tuple[torch.Tensor, ...]
"""A size, or the tensors that the model was exported with."""

DEFAULT_INPUT = (3, 224, 224)
VALID = "torchvision:NAME, timm:NAME, hf:NAME, package.module:factory, file:path.py:factory or pt2:path"


@dataclass(frozen=True)
class Loaded:
    """A module with the input that it is meant for."""

    name: str
    module: nn.Module
    input: Inputs
    """(C, H, W), or the tensors that an exported program was made with."""
    source: str
    published: tuple[PublishedCost, ...] = ()
    """Figures that the source itself prints for this input."""

    def arguments(self, batch: int = 1) -> Inputs:
        """What the forward takes: the shape (batch, C, H, W), or an exported program's own tensors.

        Raises SourceError for another batch than the one that a program of several inputs was exported with.
        """
        first = self.input[0]
        if isinstance(first, int):
            return (batch, *self.input)
        if batch in (1, first.shape[0]):
            return self.input
        if len(self.input) > 1:
            raise SourceError(f"{self.name}: exported with {len(self.input)} inputs, it runs on those; drop the batch")
        return (batch, *first.shape[1:])

    def resized(self, name: str, size: tuple[int, ...]) -> Loaded:
        """The same for another input (C, H, W)."""
        if len(self.input) > 1 and not isinstance(self.input[0], int):
            raise SourceError(f"{name}: exported with {len(self.input)} inputs, it runs on those; drop the input")
        return replace(self, name=name, input=size, published=())


def load(text: str, *, device: str = "cpu") -> Loaded:
    """The module that ``source:name,key=value`` says. ``device="meta"`` allocates no weights where that is possible.

    Raises SourceError: an unknown source or name, a package that is missing or does not fit, a factory that fails.
    """
    head, *given = text.split(",")
    source, _, rest = head.partition(":")
    if not rest:
        raise SourceError(f"{source}: expected a name after the colon, such as {VALID}")
    options = {key: _literal(value) for key, value in map(_option, given)}
    plugins = {point.name: point for point in entry_points(group="resbench.models")}
    with torch.device(device):
        if source in SOURCES:
            module, size, origin = SOURCES[source](rest, options)
        elif source in plugins:
            module, size, origin = _call(plugins[source].load(), (rest,), options, head), DEFAULT_INPUT, source
        else:
            module, size, origin = _from_module(source, rest, options)
    if not isinstance(module, nn.Module):
        raise SourceError(f"{head}: expected a torch.nn.Module, received {type(module).__name__}")
    figures = _torchvisions_figures(rest, size) if origin == "torchvision" and not options else ()
    return Loaded(text, module, size, origin, figures)


def _option(text: str) -> Sequence[str]:
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise SourceError(f"expected key=value after a comma, received {text!r}")
    return key, value


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


def _call(factory: Callable[..., Any], arguments: tuple[Any, ...], options: Options, name: str) -> Any:
    """Call a factory; whatever it raises becomes one line. Where the meta device is asked for and the factory
    looks at values while it builds, only its parameters go there."""
    on_meta = torch.empty(0).is_meta

    def say(error: BaseException) -> str:
        hint = "; give its arguments as key=value after commas" if isinstance(error, TypeError) else ""
        return f"{name}: the factory raised {type(error).__name__}: {first_line(error)}{hint}"

    with foreign(SourceError, say):
        try:
            return factory(*arguments, **options)
        except (RuntimeError, NotImplementedError):
            with torch.device("cpu"), _parameters_on_meta() if on_meta else nullcontext():
                return factory(*arguments, **options)


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Each parameter moves to the meta device as its module takes it, before it is ever initialised; ties stay."""
    register = nn.Module.register_parameter
    moved: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}

    def on_meta(self: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and type(parameter) is nn.Parameter and not parameter.is_meta:
            twin = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)
            parameter = moved.setdefault(id(parameter), (parameter, twin))[1]
        register(self, name, parameter)

    nn.Module.register_parameter = on_meta  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SourceError(f"{name} is not installed; pip install 'resbench[{EXTRAS[name]}]'") from error
    except Exception as error:  # torchvision built for another torch raises RuntimeError, not ImportError
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise SourceError(
            f"{name} does not import beside torch {torch.__version__} ({reason}); install the build that fits it"
        ) from error


EXTRAS = {"torchvision": "torchvision", "timm": "timm", "transformers": "hf"}


def _known(name: str, names: Sequence[str], source: str) -> None:
    if name not in names:
        near = " or ".join(get_close_matches(name, names, n=3))
        raise SourceError(f"{source} has no model {name!r}; {f'did you mean {near}?' if near else 'see its list'}")


def _torchvision(name: str, options: Options) -> tuple[nn.Module, Inputs, str]:
    models = _package("torchvision").models
    _known(name, models.list_models(), "torchvision")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # googlenet and inception_v3 announce a new initialisation
        module = _call(models.get_model, (name,), {"weights": None, **options}, f"torchvision:{name}")
    side = getattr(module, "image_size", None)  # the vision transformers take one size only
    if side is None:
        try:
            side = models.get_model_weights(name).DEFAULT.transforms.keywords["crop_size"]
        except (AttributeError, KeyError, TypeError):
            return module, DEFAULT_INPUT, "torchvision"
    return module, (3, side, side) if isinstance(side, int) else (3, *side), "torchvision"


def torchvision_accuracies(name: str) -> dict[str, float]:
    """Top 1 on ImageNet in percent of every set of weights that torchvision has of a model. Raises SourceError."""
    models = _package("torchvision").models
    if name not in models.list_models():
        return {}
    every = {weights.name: weights.meta.get("_metrics", {}) for weights in models.get_model_weights(name)}
    return {name: of["ImageNet-1K"]["acc@1"] for name, of in every.items() if "ImageNet-1K" in of}


def _torchvisions_figures(name: str, size: Inputs) -> tuple[PublishedCost, ...]:
    """num_params and GFLOPS (multiply-accumulates) of the weights that were measured at this size."""
    models = _package("torchvision").models
    for weights in models.get_model_weights(name):
        if weights.transforms.keywords.get("crop_size") == size[-1] and "_ops" in weights.meta:
            remark = "without the auxiliary heads" if name == "googlenet" else ""
            figure = PublishedCost(
                f"{weights.meta['num_params']:,}", f"{weights.meta['_ops']:.3f}G", "torchvision", remark
            )
            return (figure,)
    return ()


def _timm(name: str, options: Options) -> tuple[nn.Module, Inputs, str]:
    timm = _package("timm")
    _known(name.partition(".")[0], timm.list_models(), "timm")
    module = _call(timm.create_model, (name,), {"pretrained": False, **options}, f"timm:{name}")
    return module, tuple(module.pretrained_cfg.get("input_size", DEFAULT_INPUT)), "timm"


def _hf(name: str, options: Options) -> tuple[nn.Module, Inputs, str]:
    transformers = _package("transformers")
    try:
        config = transformers.AutoConfig.from_pretrained(name, **options)
    except Exception as error:
        reason = first_line(error)
        raise SourceError(
            f"hf:{name}: no configuration there ({reason}); expected a model id or a folder with config.json"
        ) from error
    named = getattr(transformers, (config.architectures or ["AutoModel"])[0], transformers.AutoModel)
    build = getattr(named, "_from_config", None) or named.from_config
    module = _call(build, (config,), {}, f"hf:{name}")
    side = getattr(config, "image_size", 224)
    sides = tuple(side) if isinstance(side, (list, tuple)) else (side, side)
    return module, (getattr(config, "num_channels", 3), *sides), "transformers"


def _pt2(path: str, options: Options) -> tuple[nn.Module, Inputs, str]:
    if options:
        raise SourceError(f"pt2:{path}: an exported program takes no options; received {', '.join(options)}")
    if not Path(path).is_file():
        raise SourceError(f"no file {path}; expected a program written by torch.export.save")
    log = logging.getLogger("torch.export")
    level = log.level
    try:
        with torch.device("cpu"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns and logs, and then raises the same
            log.setLevel(logging.CRITICAL)
            program = torch.export.load(path)
            module = torch.export.unflatten(program)
    except Exception as error:
        raise SourceError(
            f"cannot read {path} as an exported program ({first_line(error)}); expected a file of torch.export.save"
        ) from error
    finally:
        log.setLevel(level)
    arguments, keywords = program.example_inputs or ((), {})
    if keywords:
        raise SourceError(f"pt2:{path}: it was exported with keyword inputs; export it with positional ones")
    return module, tuple(arguments), "torch.export"


def _file(rest: str, options: Options) -> tuple[nn.Module, Inputs, str]:
    name, colon, factory = rest.rpartition(":")
    path = Path(name)
    if not colon:
        raise SourceError(f"file:{rest}: expected file:path.py:factory, received no factory")
    if not path.is_file():
        raise SourceError(f"file:{rest}: expected file:path.py:factory, and no file {name!r} is there")
    with _importable(path.parent):
        return _made(_executed(path), factory, options), DEFAULT_INPUT, str(path)


FILES: dict[tuple[Path, int, int], ModuleType] = {}
"""Files that have registered operators in this process, by path, time and size."""


def _executed(path: Path) -> ModuleType:
    """The module that a file is, run anew, so that what it makes has other weights for another seed.

    A file that registers operators of its own is run once, as long as it stays as it is: run again, it would take them
    from the models that it has made.
    """
    stat = path.stat()
    key = path.resolve(), stat.st_mtime_ns, stat.st_size
    if key in FILES:
        return FILES[key]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SourceError(f"{path} is no Python file; expected file:path.py:factory")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    _run(lambda: spec.loader.exec_module(module), str(path))  # type: ignore[union-attr]
    if any(isinstance(value, REGISTERED) for value in vars(module).values()):
        FILES[key] = module
    return module


REGISTERED = (torch.library.Library, CustomOpDef)
"""What stands in a file that registers operators."""


def _from_module(name: str, factory: str, options: Options) -> tuple[nn.Module, Inputs, str]:
    with _importable(Path.cwd()):
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise SourceError(f"unknown source {name!r}, and no Python module of that name; expected {VALID}")
        module = _run(lambda: importlib.import_module(name), name)
        return _made(module, factory, options), DEFAULT_INPUT, name


def _run(load_code: Callable[[], Any], name: str) -> Any:
    with foreign(SourceError, lambda e: f"{name} raised {type(e).__name__} while it was imported: {first_line(e)}"):
        return load_code()


def _made(module: ModuleType, name: str, options: Options) -> Any:
    found = getattr(module, name, None)
    if found is None:
        public = [n for n in vars(module) if not n.startswith("_") and callable(getattr(module, n))]
        near = get_close_matches(name, public, n=3) or public[:5]
        raise SourceError(f"{module.__name__} has no {name!r}; it has {', '.join(near) or 'nothing to call'}")
    if isinstance(found, nn.Module):
        if options:
            raise SourceError(f"{module.__name__}:{name} is a module, not a factory: it takes no {', '.join(options)}")
        return found
    if not callable(found):
        raise SourceError(f"{module.__name__}:{name} is {type(found).__name__}, expected a factory or a module")
    return _call(found, (), options, f"{module.__name__}:{name}")


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """The folder at the head of sys.path, as for a script that lies there."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


SOURCES: dict[str, Callable[[str, Options], tuple[nn.Module, Inputs, str]]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "hf": _hf,
    "file": _file,
    "pt2": _pt2,
}
