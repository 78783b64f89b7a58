"""How commands are found and their values read: as typer would, without what takes it long."""

import inspect
from pathlib import Path

import pytest
import typer
from commands import called
from typer.main import get_command

from resbench.cli.commands import COMMANDS, Later
from resbench.cli.main import app

WORDS = (
    *(None, "", "resnet50", "0", "1", "-1", "007", "1048577", "5", "1_000", " 3", "3.5", ".5", "1e3", "nan", "\u0663"),
    *("model", "Model", "layer", "true", True, False, 0, 1, 2, 2**20 + 1, 1.5, (), ("a", "b"), ["a"]),
    *(Path("made"), Path(__file__), __file__, "/", "no/such/folder", "a\0b"),
)


PARAMETERS = [(name, param.name) for name in COMMANDS for param in Later(name).loaded.params]


def given(process, context, value):
    """What comes of a value, or what is said of it."""
    try:
        made = process(context, value)
    except (typer.BadParameter, typer.BadParameter.__mro__[2]) as refused:
        return type(refused), refused.format_message()
    except Exception as failed:
        return type(failed), str(failed)
    return type(made), repr(made)


@pytest.mark.parametrize(("name", "option"), PARAMETERS)
def test_a_value_is_what_typer_makes_of_it(name, option):
    quick = Later(name).loaded
    context = typer.Context(quick)
    slow = {param.name: param for param in get_command(alone(quick)).params}[option]
    fast = {param.name: param for param in quick.get_params(context)}[option]
    assert fast.process_value != slow.process_value
    for word in WORDS:
        kind, said = given(fast.process_value, context, word)
        theirs = given(slow.process_value, context, word)
        if word == "" and theirs[1] == "PosixPath('.')":  # of a variable that is not set; typer takes it
            assert "expected a path" in said
            continue
        if said != theirs[1]:
            assert said.startswith("Invalid value"), "what is refused is said with what came"
            said = said.removesuffix(f"; received {word!r}")
        assert (kind, said) == theirs, repr(word)


def test_an_empty_word_is_no_path():
    done = called("sweep", "residual", "-n", "3", "--dir", "")
    assert done.returncode == 2
    assert done.stderr.startswith("resbench: Invalid value for '--dir': expected a path, ")
    assert done.stderr.endswith("; received ''\n")
    assert called("report", "--from", "").returncode == 2


def alone(command):
    """The same command by typer itself."""
    made = typer.Typer(add_completion=False)
    made.command(command.name)(inspect.unwrap(command.callback))
    return made


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_help_begins_with(name):
    first = inspect.getdoc(inspect.unwrap(Later(name).loaded.callback)).partition("\n\n")[0]
    assert COMMANDS[name] == " ".join(first.split())


def test_each_module_of_a_command_is_listed():
    folder = Path(inspect.getfile(Later)).parent
    modules = {path.stem.replace("_", "-") for path in folder.glob("*.py") if "\ndef command(" in path.read_text()}
    assert modules == set(COMMANDS) == set(get_command(app).commands)


SEVERAL = {
    "compare": {"--metrics", "--pareto", "--runtime"},
    "gradflow": {"--stat", "--steps", "--fail-on"},
    "latency": {"--batch", "--runtime"},
    "report": {"--parts", "--runtime"},
    "search": {"--minimize"},
    "sweep": {"--metrics"},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_of_several_words_add_up_and_others_are_none(name):
    command = Later(name).loaded
    params = {
        param.opts[0]: param for param in command.get_params(typer.Context(command)) if param.metavar == "A,B,..."
    }
    assert set(params) == SEVERAL.get(name, set())
    for option, param in params.items():
        context = typer.Context(command)
        read, _, _ = command.make_parser(context).parse_args([option, "a", option, "b, c", option, "a"])
        value, _ = param.consume_value(context, read)
        assert param.process_value(context, value) == ["a", "b", "c"]
