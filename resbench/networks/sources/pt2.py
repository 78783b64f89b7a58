"""The source ``pt2:path`` reads a program of ``torch.export.save``, and the inputs it was exported with."""

import logging
import os
import warnings
import zipfile
from contextlib import ExitStack
from pathlib import Path

import torch

from resbench.errors import SourceError, first_line, foreign
from resbench.files import is_file
from resbench.networks.name import ModelName
from resbench.networks.sources import Found, Options, on
from resbench.networks.sources.regions import put_back


def find(name: ModelName, options: Options, device: str) -> Found:
    """Make a module of the program again. It has its weights, whatever the device that is asked for."""
    if options:
        raise SourceError(f"{name.head}: an exported program takes no options; received {', '.join(options)}")
    if not is_file(Path(name.base)):
        raise SourceError(f"no file {name.base}; expected a program written by torch.export.save")
    unreadable = f"cannot read {name.base} as an exported program"
    log = logging.getLogger("torch.export")
    with (
        foreign(SourceError, lambda e: f"{unreadable} ({first_line(e)}); expected a file of torch.export.save"),
        on("cpu"),
        warnings.catch_warnings(),
        ExitStack() as afterwards,
    ):
        afterwards.callback(log.setLevel, log.level)
        log.setLevel(logging.CRITICAL)  # torch warns and logs, and then raises the same
        warnings.simplefilter("ignore")
        program = _loaded(name.base)
        put_back(program)
        module = torch.export.unflatten(program)
        _call_by_class(module)
    arguments, keywords = program.example_inputs or ((), {})
    if keywords:
        raise SourceError(f"{name.head}: it was exported with keyword inputs; export it with positional ones")
    return Found(module, "torch.export", tensors=tuple(arguments))


TENSORS_ALONE, ANYTHING = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
"""torch.load reads so, whatever it is told, where one of these is set."""

OBJECTS = ("custom_obj_", "opaque_obj_")
"""Entries of an archive that begin so are unpickled by torch whatever they say; tensors and inputs need not be."""


def _loaded(path: str) -> torch.export.ExportedProgram:
    """Load a program, of which torch unpickles tensors and containers alone: a pickle can otherwise run any code."""
    with zipfile.ZipFile(path) as archive:
        if objects := [entry for entry in archive.namelist() if any(word in entry for word in OBJECTS)]:
            raise ValueError(f"it holds objects that may run code: {objects[0]}")
    before = {name: os.environ.pop(name, None) for name in (TENSORS_ALONE, ANYTHING)}
    os.environ[TENSORS_ALONE] = "1"
    try:
        return torch.export.load(path)
    finally:
        os.environ.pop(TENSORS_ALONE)
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _call_by_class(program: torch.nn.Module) -> None:
    """Call each module by the class of that which was exported; the program runs them all in one of its own."""
    classes: dict[tuple[str, type], type] = {}
    for module in program.modules():
        kind, written = type(module), getattr(module, "type_name", lambda: None)()
        if written:
            name = written.rpartition(".")[2]
            module.__class__ = classes.setdefault((name, kind), type(name, (kind,), {}))
