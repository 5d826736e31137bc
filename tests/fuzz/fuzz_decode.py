"""Fuzz one target, or each: `fuzz_decode.py TARGET|each [flags of libFuzzer] [folders of inputs]`.

Whatever is no documented error is a crash: another exception, a warning, more memory than the
limits of the codecs explain, or an input that takes seconds. The input is then written to a file,
which can be given instead of a folder to run it again. New inputs go into the first folder. For
`each`, the folders have one for each target in them, or an input with its name.

The flags of libFuzzer are explained in https://llvm.org/docs/LibFuzzer.html.
"""

from __future__ import annotations

import logging
import os
import resource
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

atheris: Any = import_module("atheris")  # it comes without types


def instrumented() -> AbstractContextManager[None]:
    """Let the coverage of the package, and of nothing else, guide the fuzzer."""
    context: AbstractContextManager[None] = atheris.instrument_imports(include=["sealwire"])
    return context


with instrumented():
    from fuzz_checks import LOGGED
    from fuzz_inputs import NotAnInput
    from fuzz_targets import TARGETS, Run

Targets = Mapping[str, Callable[[], Run]]

EACH: Final = "each"
# Bytes that one input may take beyond what is there at the start. libFuzzer's own limit, on
# resident memory, does not see memory that is asked for and not used.
_MEMORY: Final = 256 * 1024 * 1024
_FLAGS: Final = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=4096")
_SHORTEST: Final = 5  # bytes that every target takes for granted


def main(arguments: list[str], targets: Targets = TARGETS) -> int:
    """Run libFuzzer on the target that is named first, or on each.

    Args:
        arguments: The name, then flags and folders for libFuzzer.
        targets: What can be named.
    """
    if not arguments or arguments[0] not in (EACH, *targets):
        names = "|".join((EACH, *targets))
        sys.exit(f"usage: fuzz_decode.py {names} [flags of libFuzzer] [folders of inputs]")
    name, *rest = arguments
    if name == EACH:
        return max([_fuzz_in_child(name, start, rest) for name, start in targets.items()])
    _fuzz_target(name, targets[name], rest)
    return 0


def fuzz(run: Run, command: str, rest: list[str]) -> None:
    """Run libFuzzer; it ends the process.

    Args:
        run: Takes one input.
        command: What starts this program once more, which libFuzzer does to merge.
        rest: Flags and folders for libFuzzer.
    """

    def run_once(data: bytes) -> None:
        if len(data) >= _SHORTEST:
            with suppress(NotAnInput):
                run(data)

    warnings.simplefilter("error")
    _listen()
    atheris.Setup([command, *_FLAGS, *rest], run_once)
    _limit_memory()
    atheris.Fuzz()


def _fuzz_target(name: str, start: Callable[[], Run], rest: list[str]) -> None:
    with instrumented():
        run = start()
    fuzz(run, shlex.join((sys.executable, __file__, name)), rest)


def _fuzz_in_child(name: str, start: Callable[[], Run], rest: list[str]) -> int:
    """Run a target in a process of its own, for which all is imported and instrumented already."""
    _say(f"== {name}")
    child = os.fork()
    if child == 0:
        os.dup2(1, 2)
        flags = [item for item in rest if item.startswith("-")]
        folders = [str(Path(item, name)) for item in rest if not item.startswith("-")]
        _fuzz_target(name, start, [*flags, *folders])
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    _say(f"== {name} ended with {code}")
    return abs(code)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _listen() -> None:
    log = logging.getLogger("sealwire")
    log.addHandler(LOGGED)
    log.propagate = False


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + _MEMORY
    # Only the soft limit: the copies that merge inherit it, and may need a little more.
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
