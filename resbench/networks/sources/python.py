"""The sources ``file:path.py:factory`` and ``package.module:factory`` run Python code of the user's.

A factory gives an ``nn.Module``, an ``Architecture`` or an expression of the algebra. For the last two nothing here
imports torch, unless the code itself does.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from resbench.arch.algebra import Node
from resbench.arch.catalog import Architecture
from resbench.errors import SourceError, first_line, foreign
from resbench.files import is_file
from resbench.networks.name import VALID, ModelName
from resbench.networks.sources import Found, Options, call, on

FILES: dict[tuple[Path, int, int], ModuleType] = {}
"""These files have registered operators in this process; each has a path, a time and a size."""


def find(name: ModelName, options: Options, device: str) -> Found:
    """Let the factory of a file or of a module make a network."""
    if name.source != "file":
        with _importable(Path.cwd()):
            return Found(_made(_imported(name.source, device), name.base, options, device), name.source)
    file, colon, factory = name.base.rpartition(":")
    path = Path(file)
    if not colon:
        raise SourceError(f"{name.head}: expected file:path.py:factory, received no factory")
    if not is_file(path):
        raise SourceError(f"{name.head}: expected file:path.py:factory, and no file {file[:80]!r} is there")
    with _importable(path.parent):
        return Found(_made(_executed(path, device), factory, options, device), str(path))


def _executed(path: Path, device: str) -> ModuleType:
    """Run a file anew as a module, so that what it makes has other weights for another seed.

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
    _run(lambda: spec.loader.exec_module(module), str(path), device)  # type: ignore[union-attr]
    if any(_registers(value) for value in vars(module).values()):
        FILES[key] = module
    return module


def _registers(value: object) -> bool:
    """Such a value stands in a file that registers operators."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, (torch.library.Library, torch._library.custom_ops.CustomOpDef))


def _imported(name: str, device: str) -> ModuleType:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise SourceError(f"unknown source {name!r}, and no Python module of that name; expected {VALID}")
    return _run(lambda: importlib.import_module(name), name, device)  # type: ignore[no-any-return]


def _run(load_code: Callable[[], Any], name: str, device: str) -> Any:
    when = "while it was imported"
    with on(device), foreign(SourceError, lambda e: f"{name} raised {type(e).__name__} {when}: {first_line(e)}"):
        return load_code()


def _made(module: ModuleType, name: str, options: Options, device: str) -> Any:
    found = getattr(module, name, None)
    if found is None:
        public = [n for n in vars(module) if not n.startswith("_") and callable(getattr(module, n))]
        near = get_close_matches(name, public, n=3) or public[:5]
        raise SourceError(f"{module.__name__} has no {name!r}; it has {', '.join(near) or 'nothing to call'}")
    torch = sys.modules.get("torch")
    if isinstance(found, (Node, Architecture)) or (torch and isinstance(found, torch.nn.Module)):
        if options:
            kind = "an expression" if isinstance(found, (Node, Architecture)) else "a module"
            raise SourceError(f"{module.__name__}:{name} is {kind}, not a factory: it takes no {', '.join(options)}")
        return found
    if not callable(found):
        raise SourceError(f"{module.__name__}:{name} is {type(found).__name__}, expected a factory or a module")
    return call(found, (), options, f"{module.__name__}:{name}", device)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """The folder stands at the head of sys.path, as for a script that lies there."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
