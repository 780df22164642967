"""Tests of the gate's look at the state of libraries: the promised bits, or an error that names the setting."""

import pytest
from support import helpers

PRINT = """
from fmnist.steps import dataset, determinism, errors, settings, training
def attempt(name):
    try: determinism.tensorflow(); print(name, "taken")
    except errors.DeterminismError as error: print(name, "refused:", error)
"""

#: Each is a way to set a mode, to look, and to take it back.
MODES = {
    "eager": "tf.config.run_functions_eagerly(True); attempt('eager'); tf.config.run_functions_eagerly(False)",
    "strategy": "with tf.distribute.OneDeviceStrategy('/cpu:0').scope(): attempt('strategy')",
    "graph": "with tf.Graph().as_default(): attempt('graph')",
    "numerics": "tf.debugging.enable_check_numerics(); attempt('numerics'); tf.debugging.disable_check_numerics()",
    "none": "attempt('none')",
    "ops": "tf.config.experimental.enable_op_determinism(); attempt('ops')",
}

SAID = {
    "eager": "tf.config.run_functions_eagerly: expected False, got True",
    "strategy": "a distribution strategy's scope: expected False, got True",
    "graph": "eager execution: expected True, got False",
    "numerics": "a check of each operation, as tf.debugging.enable_check_numerics: expected False, got True",
    "ops": "op determinism: expected False, got True",
}


@pytest.fixture(scope="module")
def seen() -> dict[str, str]:
    """What the gate does in each mode, all in one process."""
    out = helpers.python(PRINT + "tf = determinism.tensorflow()\n" + "\n".join(MODES.values()))
    return dict(line.split(" ", 1) for line in out.splitlines())


@pytest.mark.parametrize("name", SAID)
def test_a_mode_that_changes_bits_is_refused(seen: dict[str, str], name: str) -> None:
    """The error names the setting, what it should be, what it is, and what to do."""
    assert seen[name].startswith(f"refused: {SAID[name]}, which gives other bits. Call fmnist before anything")


def test_a_mode_that_was_left_is_no_obstacle(seen: dict[str, str]) -> None:
    """After each mode was taken back the gate is open again."""
    assert seen["none"] == "taken"


def test_a_variable_for_other_kernels_changes_no_bit() -> None:
    """With TF_DETERMINISTIC_OPS=1 in the environment the weights are those without."""
    code = (
        "from fmnist.steps import dataset, settings, training; from support.helpers import digest\n"
        "train = dataset.load('train'); few = dataset.Split(train.images[:500], train.labels[:500])\n"
        "print(digest(training.train(settings.Settings(epochs=1), few, on_epoch=lambda *_: None).model))"
    )
    path = str(helpers.TESTS)
    assert helpers.python(code, TF_DETERMINISTIC_OPS="1", PYTHONPATH=path) == helpers.python(code, PYTHONPATH=path)
