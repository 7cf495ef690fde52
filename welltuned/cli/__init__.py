"""The command line: one file a command, found by its name; nothing heavy is imported before a command runs."""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click
import typer

from welltuned import __version__
from welltuned.cli import commands
from welltuned.errors import WelltunedError

INTERRUPTED, TERMINATED, MEMORY = 130, 143, 4


class _TerminatedError(Exception):
    """SIGTERM arrived."""


def application() -> typer.Typer:
    """The whole command line, put together from the files in ``commands``."""
    app = typer.Typer(
        name="welltuned",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Fine-tune encoders for text classification, and say which method really won.",
    )
    app.callback()(_version)
    for module in sorted(entry.name for entry in pkgutil.iter_modules(commands.__path__)):
        command = importlib.import_module(f"{commands.__name__}.{module}").command
        app.command(module.replace("_", "-"))(command)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"welltuned {__version__}")
        raise typer.Exit


def _version(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Say the version."),
) -> None:
    """Fine-tune encoders for text classification, and say which method really won."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code: 0 ok, 2 usage, 3 data, 4 memory or disk, 5 diverged, 130/143."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_run([_hyphenated(argument) for argument in given]))


def _hyphenated(argument: str) -> str:
    """``--batch_size 8`` is read as ``--batch-size 8``: both spellings are in use."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def _run(arguments: list[str]) -> int:
    again = " ".join(["welltuned", *arguments])
    try:
        application()(arguments, standalone_mode=False)
    except WelltunedError as error:
        _say(f"error: {error.message}")
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        _say(error.format_message())
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say(f"interrupted; finished runs are kept. Go on with:\n  {again}")
        return INTERRUPTED
    except _TerminatedError:
        _say(f"terminated; finished runs are kept. Go on with:\n  {again}")
        return TERMINATED
    except MemoryError:
        _say("error: out of memory\n  mend: a smaller --batch-size or --max-length")
        return MEMORY
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return 0


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise _TerminatedError


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
