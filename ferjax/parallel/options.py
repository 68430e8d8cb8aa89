"""What is asked of XLA's compiler for the functions of a run: reproducible sums on a GPU, and what a user writes."""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import jax

from ferjax.errors import UserError

Options: TypeAlias = dict[str, str | bool]
_T = TypeVar("_T")
_WORDS = {"true": True, "false": False}


def choose_options(written: str, deterministic: bool, platform: str) -> Options:
    """Return the compiler's options by name, for devices of `platform` ('cpu', 'gpu' or 'tpu').

    `written` are pairs name=value with spaces between them. With `deterministic` a GPU's sums have a fixed order, and
    no algorithm is chosen by timing it, so that a function which is compiled anew computes the same bits; CPU and TPU
    do so anyway. Raises UserError for anything but pairs.
    """
    options: Options = {"xla_gpu_deterministic_ops": True} if deterministic and platform == "gpu" else {}
    for pair in written.split():
        name, _, value = pair.partition("=")
        if not name.startswith("xla_") or not value:
            raise UserError(
                f"parallel.xla_options has {pair!r}: write xla_NAME=VALUE, and a space before the next one; "
                "several values of one option have commas between them."
            )
        options[name] = _WORDS.get(value.lower(), value)
    return options


def explain_refusal(function: Callable[..., _T], options: Options) -> Callable[..., _T]:
    """Have `function` raise UserError where XLA does not know one of the options, or its value."""
    if not options:
        return function

    def call(*arguments: object) -> _T:
        try:
            return function(*arguments)
        except jax.errors.JaxRuntimeError as error:
            if "compile option" not in str(error) and "While setting option" not in str(error):
                raise
            raise UserError(
                f"XLA of jax {jax.__version__} refuses parallel.xla_options ({str(error).strip()}): mend it, or leave "
                "it empty."
            ) from error

    return call
