"""Tests of the gate to TensorFlow, mostly in other processes: TensorFlow starts once in each."""

import contextlib
import io
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import pytest
from support import helpers

from fmnist.steps import determinism
from fmnist.steps.errors import DeterminismError


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What TensorFlow is like behind the gate, where environment and home folder of the user say otherwise."""
    home = tmp_path_factory.mktemp("home")
    (home / ".keras").mkdir()
    (home / ".keras" / "keras.json").write_text('{"floatx": "float16", "backend": "jax"}')
    out = helpers.python(
        "from fmnist.steps import determinism as d; import json, os\n"
        "os.environ.pop('TF_CPP_MIN_LOG_LEVEL', None)\n"
        "tf = d.tensorflow(); import keras\n"
        "threads = tf.config.threading\n"
        "print(json.dumps({\n"
        "  'threads': [threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads()],\n"
        "  'switches': {name: os.environ[name] for name in d.SWITCHES},\n"
        "  'messages': os.environ['TF_CPP_MIN_LOG_LEVEL'],\n"
        "  'keras': [keras.config.backend(), keras.config.floatx()],\n"
        "  'others': sorted({'TF_XLA_FLAGS', 'TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL', 'MPLBACKEND',\n"
        "                    'FREETYPE_PROPERTIES'} & os.environ.keys()),\n"
        "  'again': d.tensorflow() is tf}))",
        HOME=str(home),
        CUDA_VISIBLE_DEVICES="0",
        TF_NUM_INTRAOP_THREADS="7",
        TF_XLA_FLAGS="--tf_nonsense=1",
        TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL="0",
        MPLBACKEND="nonsense",
        FREETYPE_PROPERTIES="truetype:interpreter-version=35",
        XLA_FLAGS="--xla_cpu_enable_fast_math=true",
    )
    return dict(json.loads(out))


def test_the_switches_are_set_before_tensorflow_starts(started: dict[str, Any]) -> None:
    """TensorFlow comes with one thread and the switches, and a second call gives the same module."""
    assert started["threads"] == [1, 1]
    assert started["switches"] == {
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "TF_DETERMINISTIC_OPS": "0",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "XLA_FLAGS": "--xla_cpu_enable_platform_dependent_math=false",
    }
    assert started["messages"] == "2"
    assert started["again"]


def test_variables_that_libraries_read_later_are_taken_away(started: dict[str, Any]) -> None:
    """TensorFlow, XLA and FreeType find none of theirs; a backend for the user's own pictures stays."""
    assert started["others"] == ["MPLBACKEND"]


def test_tensorflow_tells_of_errors_only(started: dict[str, Any]) -> None:
    """Unless its user wants to know more."""
    assert started["messages"] == "2"


def test_whoever_asks_for_the_messages_of_tensorflow_gets_them() -> None:
    """A level that is set stays as it is."""
    out = helpers.python(
        "from fmnist.steps import determinism as d; import os, sys\n"
        # It is asked for when the environment is ready, before TensorFlow starts.
        "d.caveat = lambda: sys.exit(print(os.environ['TF_CPP_MIN_LOG_LEVEL']))\n"
        "d.tensorflow()",
        TF_CPP_MIN_LOG_LEVEL="0",
    )
    assert out == "0\n"


def test_keras_configuration_in_the_home_folder_is_not_read(started: dict[str, Any]) -> None:
    """A keras.json with another backend and float type changes nothing."""
    assert started["keras"] == ["tensorflow", "float32"]


def test_a_tensorflow_that_was_started_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch that was not set before the start is an error that names it, what it should be and what it is."""
    determinism.tensorflow()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(
        DeterminismError, match="the environment variable CUDA_VISIBLE_DEVICES: expected '-1', got None"
    ):
        determinism.tensorflow()


@pytest.mark.parametrize("first", ["tensorflow", "keras"])
def test_what_was_imported_before_is_not_given_the_switches(first: str) -> None:
    """Either may have read the environment: it is checked as it is, and stays."""
    out = helpers.python(
        "import os, sys, types\nfrom fmnist.steps import determinism as d\n"
        f"sys.modules[{first!r}] = types.ModuleType({first!r})\n"
        "try: d.tensorflow()\n"
        "except d.DeterminismError as error: print(error, 'KERAS_HOME' in os.environ)",
    )
    assert out.startswith("the environment variable CUDA_VISIBLE_DEVICES: expected '-1', got None, which gives ")
    assert out.endswith("False\n")


@pytest.mark.parametrize(("limit", "most"), [("AS", 3000 * 2**20), ("DATA", 2**30)])
def test_too_little_memory_is_refused(limit: str, most: int) -> None:
    """With 3,000,000 KiB the products of matrices had no room: a training went on without, to an accuracy of 0.22."""
    out = helpers.python(
        f"import resource; resource.setrlimit(resource.RLIMIT_{limit}, ({most}, {most}))\n"
        "from fmnist.steps import determinism, errors\n"
        "try: determinism.tensorflow()\n"
        "except errors.DeterminismError as error: print(error)"
    )
    assert out == (
        "memory: expected room for 1610612736 bytes more in this process, got less, with which TensorFlow may leave "
        "out a part of its results. Raise the limits that `ulimit -v` and `ulimit -d` show, or free memory.\n"
    )


def test_memory_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the training itself takes later is no lack of it."""
    determinism.tensorflow()
    monkeypatch.setattr(determinism, "_ROOM", 2**62)
    determinism.tensorflow()


def test_keras_that_computes_otherwise_is_refused() -> None:
    """Mixed precision, which someone has chosen in this process, is an error."""
    determinism.tensorflow()
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    message = "keras.config.dtype_policy\\(\\): expected 'float32', got 'mixed_bfloat16'"
    try:
        with pytest.raises(DeterminismError, match=message):
            determinism.tensorflow()
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_tensorflow_that_runs_otherwise_is_refused() -> None:
    """Two threads, which cannot be changed any more, are an error that names what they should be and what they are."""
    out = helpers.python(
        f"import os; os.environ.update({dict(determinism.SWITCHES)!r})\n"
        "import tensorflow as tf; tf.config.threading.set_intra_op_parallelism_threads(2)\n"
        "tf.config.threading.set_inter_op_parallelism_threads(1); tf.zeros(1)\n"
        "from fmnist.steps import determinism, errors\n"
        "try: determinism.tensorflow()\n"
        "except errors.DeterminismError as error: print(error)"
    )
    assert out.startswith("TensorFlow's number of intra-op threads (0: one for each core): expected 1, got 2")


def test_the_cpu_is_described() -> None:
    """The record names the CPU and says which instructions it has."""
    cpu = determinism.cpu()
    assert cpu.keys() == {"architecture", "model", "avx2", "avx512f", "fma"}
    assert all(isinstance(cpu[name], bool) for name in ("avx2", "avx512f", "fma"))


@pytest.mark.parametrize(
    ("text", "model", "instructions"),
    [
        ("processor\t: 0\nmodel name\t: X: CPU\t2 \nflags\t\t: fpu fma avx2\n\nno tab\n", "X: CPU\t2", {"fma", "avx2"}),
        ("processor\t: 0\nflags\t\t: fma4 avx2x\n", None, set()),
        ("processor\t: 0\nBogoMIPS\t: 50.00\n", None, set()),
        (FileNotFoundError, None, set()),
        (PermissionError, None, set()),
    ],
    ids=["x86", "others of like names", "arm64", "no such file", "not readable"],
)
def test_the_kernel_describes_the_cpu(
    text: str | type[OSError], model: str | None, instructions: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In lines of name and value; where it says nothing, there is no model, and no instruction is relied on."""

    def read(path: str, **_: str) -> io.StringIO:
        assert path == "/proc/cpuinfo"
        if not isinstance(text, str):
            raise text(path)
        return io.StringIO(text)

    monkeypatch.setattr(determinism, "open", read, raising=False)
    assert determinism.cpu() == {
        "architecture": platform.machine(),
        "model": model,
        **{name: name in instructions for name in ("avx2", "avx512f", "fma")},
    }


@pytest.mark.parametrize(
    ("architecture", "avx2", "fma", "promised"),
    [
        ("x86_64", True, True, True),
        ("x86_64", False, True, False),
        ("x86_64", True, False, False),
        ("aarch64", False, False, False),
    ],
    ids=["both", "no AVX2", "no FMA", "arm64"],
)
def test_what_is_not_promised_on_a_cpu_is_said(
    monkeypatch: pytest.MonkeyPatch, architecture: str, avx2: bool, fma: bool, promised: bool
) -> None:
    """Where the bits of other machines are not promised, a sentence names the CPU; elsewhere there is none."""
    found = {"architecture": architecture, "model": "A CPU", "avx2": avx2, "avx512f": False, "fma": fma}
    monkeypatch.setattr(determinism, "cpu", lambda: found)
    caveat = determinism.caveat()
    assert (caveat is None) == promised
    assert caveat is None or caveat == (
        f"CPU: expected x86_64 with AVX2 and FMA, got {architecture} (A CPU) without: equal settings give equal bits "
        "on this machine, but perhaps not those of other machines."
    )


def test_another_cpu_is_warned_of_when_tensorflow_starts() -> None:
    """A step on such a machine says so in its log, before TensorFlow is imported."""
    out = helpers.python(
        "import warnings; from fmnist.steps import determinism as d\n"
        "d.cpu = lambda: {'architecture': 'aarch64', 'model': None}\n"
        "def show(message, category, place, *_): raise SystemExit(print(message, place))\n"
        "warnings.showwarning = show\n"
        "d.tensorflow()"
    )
    assert out.startswith("CPU: expected x86_64 with AVX2 and FMA, got aarch64")
    # The place is the caller's.
    assert out.endswith(" <string>\n")


def open_files() -> set[str]:
    """Return the numbers of the files that this process has open, and of the one that is read for it."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize(("module", "shown"), [("ipykernel", ""), ("another", "an error")])
def test_what_libraries_print_is_kept_from_notebooks_alone(
    module: str, shown: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Elsewhere what TensorFlow says when it starts is shown, as it may be an error; so is what follows one."""
    monkeypatch.setitem(sys.modules, module, sys)
    before = open_files()
    with contextlib.suppress(ImportError), determinism._quiet():
        os.write(2, b"an error")
        raise ImportError
    os.write(2, b", and more")
    assert capfd.readouterr().err == f"{shown}, and more"
    assert open_files() == before


def test_a_program_that_is_traced_checks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its maker came through the gate; whoever did not is sent there."""
    tf = determinism.tensorflow()
    monkeypatch.setattr(determinism, "tensorflow", lambda: "the gate")
    assert determinism.started() is tf
    monkeypatch.delitem(sys.modules, "tensorflow")
    assert determinism.started() == "the gate"


@pytest.mark.parametrize("value", ["1", "0"])
def test_a_variable_that_is_set_later_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow sets one itself, to 1; any other one is the caller's."""
    determinism.tensorflow()
    monkeypatch.setenv("TF_OWN_VARIABLE", value)
    with pytest.raises(DeterminismError, match=f"variable TF_OWN_VARIABLE: expected None, got '{value}'"):
        determinism.tensorflow()
