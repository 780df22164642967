"""The one gate to TensorFlow: TensorFlow starts with the switches that make results bit-identical, or not at all.

With one intra-op thread the weights are the same on any number of cores, with more they are not; XLA's
platform-dependent mathematics differs between AVX2 and AVX-512 machines; Keras reads defaults from a file in
the home folder. None of this can be changed once TensorFlow runs.
"""

import contextlib
import gc
import os
import platform
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from fmnist.steps.errors import DeterminismError

__all__ = ["SWITCHES", "caveat", "cpu", "tensorflow"]

#: The instructions with which CPUs are known to give the same bits, by architecture.
KNOWN_CPUS: Mapping[str, tuple[str, ...]] = {"x86_64": ("avx2", "fma")}

#: Environment variables that TensorFlow and Keras read at their start, as results need them.
SWITCHES: Mapping[str, str] = {
    "CUDA_VISIBLE_DEVICES": "-1",  # a GPU adds up in another order
    "KERAS_BACKEND": "tensorflow",
    "TF_DETERMINISTIC_OPS": "0",  # its kernels round otherwise
    "TF_ENABLE_ONEDNN_OPTS": "0",  # its kernels are chosen by CPU
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_enable_platform_dependent_math=false",
}

#: Keras' own settings, as results need them.
KERAS_CONFIG: Mapping[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def tensorflow(*, for_good: bool = False) -> Any:
    """Import TensorFlow with `SWITCHES` set and return it; warn where there is a `caveat`.

    Parameters
    ----------
    for_good : bool
        Whether all that this process holds now may stay until it ends, as in a step. The garbage collector then never
        looks through TensorFlow, which costs a tenth of the CPU seconds of a train step.

    Raises
    ------
    DeterminismError
        If TensorFlow or Keras already runs in this process in another way.
    """
    if not {"tensorflow", "keras"} & sys.modules.keys():
        os.environ.update(SWITCHES)
        os.environ["KERAS_HOME"] = os.path.join(os.devnull, "keras")  # noqa: PTH118 - a path that cannot exist
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if sentence := caveat():
            warnings.warn(sentence, stacklevel=2)
        with _collector_paused():
            import_module("tensorflow")
        if for_good:
            gc.freeze()
    import tensorflow as tf

    _check_environment()
    _check_threads(tf)
    _check_state(tf)
    _check_keras()
    return tf


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector out of an import, a fifth of which it would take and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check_environment() -> None:
    for name, expected in SWITCHES.items():
        _check(f"the environment variable {name}", expected, os.environ.get(name))


def _check_threads(tf: Any) -> None:
    threading = tf.config.threading
    for kind in ("intra", "inter"):
        try:
            getattr(threading, f"set_{kind}_op_parallelism_threads")(1)
        except RuntimeError:
            got = getattr(threading, f"get_{kind}_op_parallelism_threads")()
            _check(f"TensorFlow's number of {kind}-op threads (0: one for each core)", 1, got)


def _check_state(tf: Any) -> None:
    """Refuse modes of TensorFlow that change bits, or end in errors that do not name them."""
    from tensorflow.python.framework import config, op_callbacks

    for what, expected, got in (
        ("op determinism", False, config.is_op_determinism_enabled()),
        ("tf.config.run_functions_eagerly", False, tf.config.functions_run_eagerly()),
        ("eager execution", True, tf.executing_eagerly() or tf.inside_function()),
        ("a distribution strategy's scope", False, tf.distribute.has_strategy()),
        (
            "a check of each operation, as tf.debugging.enable_check_numerics",
            False,
            bool(op_callbacks.should_invoke_op_callbacks()),
        ),
    ):
        _check(what, expected, got)


def _check_keras() -> None:
    import keras

    for name, expected in KERAS_CONFIG.items():
        _check(f"keras.config.{name}()", expected, getattr(keras.config, name)())
    _check("keras.config.dtype_policy()", "float32", keras.config.dtype_policy().name)


def _check(what: str, expected: Any, got: Any) -> None:
    if got != expected:
        raise DeterminismError(
            f"{what}: expected {expected!r}, got {got!r}, which gives other bits. Call fmnist before anything that "
            "sets this, or in another process."
        )


def caveat() -> str | None:
    """Return a sentence on what fmnist cannot promise on this CPU, or None."""
    found = cpu()
    needed = KNOWN_CPUS.get(found["architecture"])
    if needed is not None and all(found[name] for name in needed):
        return None
    return (
        f"CPU: expected x86_64 with AVX2 and FMA, got {found['architecture']} ({found['model']}) without: equal "
        "settings give equal bits on this machine, but perhaps not those of other machines."
    )


def cpu() -> dict[str, Any]:
    """Return this machine's CPU: `architecture`, `model` (or None), and whether it has `avx2`, `avx512f` and `fma`."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a file of the kernel's
            pairs = dict(line.strip().split("\t", 1) for line in file if "\t" in line)
    except OSError:
        pairs = {}
    values = {name.strip(): value.lstrip(": \t") for name, value in pairs.items()}
    flags = values.get("flags", "").split()
    found = {"architecture": platform.machine(), "model": values.get("model name")}
    return found | {name: name in flags for name in ("avx2", "avx512f", "fma")}
