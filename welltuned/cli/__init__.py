"""The command line: one file a command, one folder a group of commands, found by name.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import shlex
import signal
import sys
from collections.abc import Sequence
from types import FrameType, ModuleType
from typing import NoReturn

import typer

from welltuned import __version__, stopping
from welltuned.cli import commands, groups
from welltuned.errors import UsageError, WelltunedError

MEMORY = 4
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""What a disk says that fails; most such errors are told where they occur."""


def application() -> typer.Typer:
    """The whole command line, put together from the files and folders in ``commands``."""
    app = _group("Fine-tune encoders for text classification, and say which method really won.", commands)
    app.info.name = "welltuned"
    app.callback()(_version)
    return app


def _group(about: str, package: ModuleType) -> typer.Typer:
    """The commands in a package by their files' names; a package in it is a group of commands of its own."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=package is commands,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=about,
    )
    for entry in sorted(pkgutil.iter_modules(package.__path__), key=lambda entry: entry.name):
        module = importlib.import_module(f"{package.__name__}.{entry.name}")
        name = entry.name.replace("_", "-")
        if entry.ispkg:
            told = (module.__doc__ or "").strip()
            app.add_typer(_group(told, module), name=name, short_help=told)
        else:
            settings = getattr(module, "SETTINGS", None)
            told = (module.__doc__ or "").strip().splitlines()[0]
            app.command(name, short_help=told, context_settings=settings)(groups.flattened(module.command))
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
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    sys.exit(_run([_hyphenated(argument) for argument in given]))


def _hyphenated(argument: str) -> str:
    """``--batch_size 8`` is read as ``--batch-size 8``: both spellings are in use."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def _require_utf8(arguments: Sequence[str]) -> None:
    """Refuse at once what no record and no tokenizer could take."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                "an argument is not UTF-8", where=ascii(argument[:80]),
                mend="set a UTF-8 locale such as LANG=C.UTF-8, or rename the file",
            ) from error  # fmt: skip


def _run(arguments: list[str]) -> int:
    try:
        _require_utf8(arguments)
        application()(arguments)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    except WelltunedError as error:
        _say(f"error: {error.message}")
        return error.exit_code
    except stopping.StoppedError as stopped:
        _say(f"stopped; finished runs and checkpoints are kept. Go on with:\n  welltuned {shlex.join(arguments)}")
        return 128 + stopped.number
    except OSError as error:
        if error.errno not in DISK:
            raise
        _say(f"error: {error.filename or 'a file'}: cannot be written\n  why:  {error.strerror}\n  mend: make room")
        return MEMORY
    except MemoryError:
        _say("error: out of memory\n  mend: a smaller --batch-size or --max-length")
        return MEMORY
    return 0


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    try:
        stopping.ask(number)
    except stopping.StoppedError:
        for later in (signal.SIGINT, signal.SIGTERM):
            signal.signal(later, signal.SIG_IGN)  # once is enough: what is being cleaned up shall be cleaned up
        raise
    os.write(2, b"stopping after this step, once it is saved; ask again to stop at once\n")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
