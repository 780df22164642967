"""The one gate to TensorFlow: TensorFlow starts with the switches that make results bit-identical, or not at all.

With one intra-op thread the weights are the same on any number of cores, with more they are not; XLA's
platform-dependent mathematics differs between AVX2 and AVX-512 machines; Keras reads defaults from a file in
the home folder. None of this can be changed once TensorFlow runs. What can be changed is checked each time.
"""

import contextlib
import functools
import mmap
import os
import platform
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from fmnist.steps import garbage
from fmnist.steps.canvas import import_matplotlib
from fmnist.steps.errors import DeterminismError

__all__ = ["SWITCHES", "caveat", "cpu", "started", "tensorflow"]

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

#: All variables that TensorFlow, its oneDNN and Keras read; not those of messages, of Azure's pipelines and Terraform.
_READ = re.compile(
    r"(TF2?|TENSORFLOW|XLA|MLIR|ONEDNN|DNNL|MKL|KERAS)_(?!CPP_|HOME$"
    r"|BUILD$|(VAR|CLI|LOG|PLUGIN|REGISTRY)_|(LOG|INPUT|DATA_DIR|WORKSPACE|IN_AUTOMATION)$).+"
)

#: Where Keras finds no file of settings: a path that cannot exist.
_KERAS_HOME = f"{os.devnull}/keras"

#: Keras' own settings, as results need them.
KERAS_CONFIG: Mapping[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


#: What works where this process does not.
_OTHERWISE = "call fmnist.run(), which uses processes of its own."

#: The bytes of address space for which a process asks between the start of TensorFlow and the end of a run, and some.
_ROOM = 3 * 2**29

#: Set in a process that is a fork of one in which TensorFlow ran.
_forked = threading.Event()


def tensorflow() -> Any:
    """Import TensorFlow with `SWITCHES` set and return it; warn where there is a `caveat`.

    Other variables that TensorFlow and Keras read, sooner or later, are taken out of the environment.

    Raises
    ------
    DeterminismError
        If this process computes otherwise: TensorFlow, Keras or the processor are in another mode, or it is a fork.
    """
    import_matplotlib()
    if not {"tensorflow", "keras"} & sys.modules.keys():
        for name in filter(_READ.fullmatch, tuple(os.environ)):
            del os.environ[name]
        os.environ.update(SWITCHES, KERAS_HOME=_KERAS_HOME)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if sentence := caveat():
            warnings.warn(sentence, stacklevel=2)
        with _quiet(), garbage.paused():
            # TensorFlow looks for devices at its first operation, and would report it then.
            import_module("tensorflow").config.list_physical_devices()
    import tensorflow as tf

    _check_environment()
    _check_fork()
    _check_room()
    _check_arithmetic()
    _check_threads(tf)
    _check_state(tf)
    _check_keras()
    return tf


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what TensorFlow prints in a notebook, which shows in red, like errors, that it has found no GPU."""
    if "ipykernel" not in sys.modules:
        yield
        return
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - not a file
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def started() -> Any:
    """Return TensorFlow inside a traced program, whose builder has passed the checks of `tensorflow`."""
    return sys.modules.get("tensorflow") or tensorflow()


def _check_environment() -> None:
    # TensorFlow itself sets one of them.
    read = {name: "1" if name == "TF2_BEHAVIOR" else None for name in os.environ if _READ.fullmatch(name)}
    for name, expected in {**read, **SWITCHES}.items():
        _check(f"the environment variable {name}", expected, os.environ.get(name))


def _check_fork() -> None:
    """Refuse a fork of a process in which TensorFlow ran: it has none of its threads, and would wait for them."""
    _watch_forks()
    if _forked.is_set():
        raise DeterminismError(
            "process: expected one of its own, got a fork of one in which TensorFlow ran, where it would hang. Start "
            f"it with multiprocessing.get_context('spawn'), or {_OTHERWISE}"
        )


@functools.cache
def _watch_forks() -> None:
    from tensorflow.python.eager import context

    def note() -> None:
        if context.context()._initialized:  # noqa: SLF001 - there is no other way to know
            _forked.set()

    os.register_at_fork(after_in_child=note)


@functools.cache
def _check_room() -> None:
    """Refuse too little memory: a product of matrices that finds none is left out, and the training goes on."""
    try:
        mmap.mmap(-1, _ROOM, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError as error:
        raise DeterminismError(
            f"memory: expected room for {_ROOM} bytes more in this process, got less, with which TensorFlow may leave "
            "out a part of its results. Raise the limits that `ulimit -v` and `ulimit -d` show, or free memory."
        ) from error


def _check_arithmetic() -> None:
    """Refuse other modes of the processor, which libraries compiled with -ffast-math set for their whole process."""
    tiny, small = sys.float_info.epsilon / 4, sys.float_info.min
    _check("the processor's rounding to nearest", [1, 1, -1], [1 + tiny, 1 - tiny / 2, -1 - tiny])
    _check("the processor's half of the smallest normal number", "2**-1023", "2**-1023" if small / 2 else "0")


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
    from tensorflow.python import pywrap_tfe
    from tensorflow.python.eager import context
    from tensorflow.python.framework import config, op_callbacks, ops
    from tensorflow.python.ops import control_flow_util_v2 as control_flow

    tape = not pywrap_tfe.TFE_Py_TapeSetIsEmpty() or pywrap_tfe.TFE_Py_TapeSetIsStopped()
    device = context.context().device_name or "CPU"
    everything = control_flow._EXPERIMENTAL_OUTPUT_ALL_INTERMEDIATES_OVERRIDE  # noqa: SLF001 - nor this
    creators = ops.get_default_graph()._variable_creator_stack  # noqa: SLF001 - there is no other way to know
    for what, expected, got in (
        ("op determinism", False, config.is_op_determinism_enabled()),
        ("tf.config.run_functions_eagerly", False, tf.config.functions_run_eagerly()),
        ("eager execution", True, tf.executing_eagerly()),
        ("a distribution strategy's scope", False, tf.distribute.has_strategy()),
        (
            "a check of each operation, as tf.debugging.enable_check_numerics",
            False,
            bool(op_callbacks.should_invoke_op_callbacks()),
        ),
        ("the device of a scope", "CPU", "CPU" if "CPU" in device.upper() else device),
        ("a scope that creates variables", False, bool(creators)),
        ("a gradient tape, or a scope that stops one", False, bool(tape)),
        ("tf.compat.v1.experimental.output_all_intermediates", False, bool(everything)),
        ("a dtype_conversion_mode of numpy behaviour", False, bool(ops.is_auto_dtype_conversion_enabled())),
    ):
        _check(what, expected, got)


def _check_keras() -> None:
    import keras
    from keras.src.backend.common import global_state, remat

    for name, expected in KERAS_CONFIG.items():
        _check(f"keras.config.{name}()", expected, getattr(keras.config, name)())
    _check("keras.config.dtype_policy()", "float32", keras.config.dtype_policy().name)
    _check("keras.RematScope", None, remat.get_current_remat_mode())
    _check("keras.StatelessScope", None, global_state.get_global_attribute("stateless_scope"))
    _check("a scope of Keras that casts", None, global_state.get_global_attribute("autocast_scope"))
    scope = global_state.get_global_attribute("custom_objects_scope_dict", {})
    parts = (keras, keras.layers, keras.initializers, keras.optimizers, keras.activations)
    known = {name.lower() for part in parts for name in vars(part)}
    taken = [name for name in (*keras.saving.get_custom_objects(), *scope) if name.lower() in known]
    _check("Keras' custom objects that have a name of its own", [], taken)


def _check(what: str, expected: Any, got: Any) -> None:
    if got != expected:
        raise DeterminismError(
            f"{what}: expected {expected!r}, got {got!r}, which gives other bits. Call fmnist before anything that "
            f"sets this, or {_OTHERWISE}"
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
