"""Tests of the gate's look at the state of libraries: the promised bits, or an error that names the setting."""

import json

import pytest
from support import helpers

PRINT = """
import ctypes, mmap, os
from fmnist.steps import dataset, determinism, errors, settings, training
def attempt(name):
    try: determinism.tensorflow(); print(name, "taken")
    except errors.DeterminismError as error: print(name, "refused:", error)
def processor(mode):
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0fae17c3"))  # ldmxcsr [rdi]; ret
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    call(ctypes.addressof(ctypes.c_uint32(mode)))
def within(name, context):
    with context: attempt(name)
tf = determinism.tensorflow()
import keras
from keras.src.backend.common.variables import AutocastScope
"""

#: Each is a way to set a mode, to look, and to take it back.
MODES = {
    "eager": "tf.config.run_functions_eagerly(True); attempt('eager'); tf.config.run_functions_eagerly(False)",
    "strategy": "with tf.distribute.OneDeviceStrategy('/cpu:0').scope(): attempt('strategy')",
    "graph": "with tf.Graph().as_default(): attempt('graph')",
    "numerics": "tf.debugging.enable_check_numerics(); attempt('numerics'); tf.debugging.disable_check_numerics()",
    "device": "within('device', tf.device('/gpu:0'))",
    "tape": "within('tape', tf.GradientTape())",
    "stopped": "within('stopped', tf.init_scope())",
    "creator": "within('creator', tf.variable_creator_scope(lambda create, **how: create(**how)))",
    "function": "tf.function(lambda: attempt('function'), autograph=False)()",
    "remat": "within('remat', keras.RematScope(mode='full'))",
    "stateless": "within('stateless', keras.StatelessScope())",
    "cast": "within('cast', AutocastScope('float16'))",
    "scope": "within('scope', keras.saving.custom_object_scope({'Dense': keras.layers.Flatten}))",
    "objects": "own = keras.saving.get_custom_objects(); own.update(adam=1, zeros=1); attempt('objects'); own.clear()",
    "rounding": "processor(0x5f80); attempt('rounding'); processor(0x1f80)",
    "subnormal": "processor(0x9fc0); attempt('subnormal'); processor(0x1f80)",
    "late": "os.environ['ONEDNN_MAX_CPU_ISA'] = 'SSE41'; attempt('late'); del os.environ['ONEDNN_MAX_CPU_ISA']",
    "letters": "os.environ['FREETYPE_PROPERTIES'] = 'a'; attempt('letters'); del os.environ['FREETYPE_PROPERTIES']",
    "harmless": "own['mine>Dense'] = own['my_loss'] = 1; os.environ['TF_VAR_x'] = ''; attempt('harmless'); own.clear()",
    "layout": "keras.config.set_image_data_format('channels_first'); attempt('layout'); "
    "keras.config.set_image_data_format('channels_last')",
    "intermediates": "tf.compat.v1.experimental.output_all_intermediates(True); attempt('intermediates'); "
    "tf.compat.v1.experimental.output_all_intermediates(None)",
    "cpu": "within('cpu', tf.device('/cpu:0'))",
    "none": "attempt('none')",
    "promotion": "tf.experimental.numpy.experimental_enable_numpy_behavior(dtype_conversion_mode='all'); "
    "attempt('promotion')",
    "ops": "tf.config.experimental.enable_op_determinism(); attempt('ops')",
}

SAID = {
    "eager": "tf.config.run_functions_eagerly: expected False, got True",
    "strategy": "a distribution strategy's scope: expected False, got True",
    "graph": "eager execution: expected True, got False",
    "numerics": "a check of each operation, as tf.debugging.enable_check_numerics: expected False, got True",
    "layout": "keras.config.image_data_format(): expected 'channels_last', got 'channels_first'",
    "ops": "op determinism: expected False, got True",
    "device": "the device of a scope: expected 'CPU', got '/job:localhost/replica:0/task:0/device:GPU:0'",
    "tape": "a gradient tape, or a scope that stops one: expected False, got True",
    "stopped": "a gradient tape, or a scope that stops one: expected False, got True",
    "creator": "a scope that creates variables: expected False, got True",
    "function": "eager execution: expected True, got False",
    "remat": "keras.RematScope: expected None, got",
    "stateless": "keras.StatelessScope: expected None, got",
    "cast": "a scope of Keras that casts: expected None, got",
    "scope": "Keras' custom objects that have a name of its own: expected [], got ['Dense']",
    "objects": "Keras' custom objects that have a name of its own: expected [], got ['adam', 'zeros']",
    "rounding": "the processor's rounding to nearest: expected [1, 1, -1], got [1.0000000000000002, 1.0, -1.0]",
    "subnormal": "the processor's half of the smallest normal number: expected '2**-1023', got '0'",
    "late": "the environment variable ONEDNN_MAX_CPU_ISA: expected None, got 'SSE41'",
    "intermediates": "tf.compat.v1.experimental.output_all_intermediates: expected False, got True",
    "promotion": "a dtype_conversion_mode of numpy behaviour: expected False, got True",
}

REMEDY = "Call fmnist before anything that sets this, or call fmnist.run(), which uses processes of its own."


@pytest.fixture(scope="module")
def seen() -> dict[str, str]:
    """What the gate does in each mode, all in one process."""
    out = helpers.python(PRINT + "\n".join(MODES.values()))
    return dict(line.split(" ", 1) for line in out.splitlines())


@pytest.mark.parametrize("name", SAID)
def test_a_mode_that_changes_bits_is_refused(seen: dict[str, str], name: str) -> None:
    """The error names the setting, what it should be, what it is, and what to do."""
    assert seen[name].startswith(f"refused: {SAID[name]}")
    assert seen[name].endswith(f", which gives other bits. {REMEDY}")


def test_other_letters_are_refused_before_the_training(seen: dict[str, str]) -> None:
    """Where matplotlib was imported before, nobody knows what it read."""
    assert seen["letters"].startswith("refused: the environment variable FREETYPE_PROPERTIES: expected None, got 'a'")
    assert "Unset it before Python starts, or call fmnist.run()" in seen["letters"]


@pytest.mark.parametrize("name", ["none", "harmless", "cpu"])
def test_what_changes_no_bit_is_no_obstacle(seen: dict[str, str], name: str) -> None:
    """After each mode was taken back the gate is open again, and so it is for objects and variables of others."""
    assert seen[name] == "taken"


def test_a_fork_after_work_is_refused() -> None:
    """It would hang: it has none of TensorFlow's threads. A fork before is as good as another process."""
    code = (
        "def forked(name):\n"
        "    if process := os.fork(): os.waitpid(process, 0)\n"
        "    else: attempt(name); sys.stdout.flush(); os._exit(0)\n"
        "import sys; forked('before'); tf.zeros(1) + 1; sys.stdout.flush(); forked('after')"
    )
    before, after = helpers.python(PRINT + code).splitlines()
    assert before == "before taken"
    assert after == (
        "after refused: process: expected one of its own, got a fork of one in which TensorFlow ran, where it "
        "would hang. Start it with multiprocessing.get_context('spawn'), or call fmnist.run(), which uses processes of "
        "its own."
    )


def test_a_variable_for_other_kernels_changes_no_bit() -> None:
    """With TF_DETERMINISTIC_OPS=1 in the environment the weights are those without."""
    code = (
        "from fmnist.steps import dataset, settings, training; from support.helpers import digest\n"
        "train = dataset.load('train'); few = dataset.Split(train.images[:500], train.labels[:500])\n"
        "print(digest(training.train(settings.Settings(epochs=1), few, on_epoch=lambda *_: None).model))"
    )
    path = str(helpers.TESTS)
    assert helpers.python(code, TF_DETERMINISTIC_OPS="1", PYTHONPATH=path) == helpers.python(code, PYTHONPATH=path)


#: Each thing that computes, as it is called with a network, data and a folder.
ENTRIES = {
    "create": "model.create(0)",
    "write": "model.to_bytes(network)",
    "read": "model.from_bytes(content)",
    "optimizer": "optimizers.create('adam')",
    "schedule": "optimizers.canonical(rate)",
    "order": "training.epoch_order(0, 0, 10)",
    "train": "training.train(settings.Settings(epochs=1), data, on_epoch=print)",
    "trainer": "training.Trainer(settings.Settings(epochs=1), data)",
    "epoch": "trainer.train(0, on_epoch=print)",
    "checkpoint": "checkpoint.Checkpoint.of('c', settings.Settings(), data, network)",
    "test": "evaluation.test(network, data)",
    "evaluator": "evaluation.Evaluator(network, data)",
    "by image": "network_of_ones_own.is_by_image(network)",
}


@pytest.fixture(scope="module")
def entered() -> dict[str, str]:
    """What each entry says in a process that computes otherwise than when it started."""
    code = (
        "import os, json\n"
        "from fmnist.steps import checkpoint, evaluation, model, optimizers\n"
        "from fmnist.steps import own_network as network_of_ones_own\n"
        "train = dataset.load('train'); data = dataset.Split(train.images[:100], train.labels[:100])\n"
        "network = model.create(0); content = model.to_bytes(network)\n"
        "rate = keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5))\n"
        "trainer = training.Trainer(settings.Settings(epochs=1), data)\n"
        "os.environ['TF_ENABLE_ONEDNN_OPTS'] = '1'\n"
        f"for name, entry in {ENTRIES!r}.items():\n"
        "    try: eval(entry); print(json.dumps([name, 'taken']))\n"
        "    except errors.DeterminismError as error: print(json.dumps([name, str(error)]))\n"
    )
    return dict(json.loads(line) for line in helpers.python(PRINT + code).splitlines() if line.startswith("["))


@pytest.mark.parametrize("name", ENTRIES)
def test_each_entry_looks_at_the_state(entered: dict[str, str], name: str) -> None:
    """Whatever computes does so with the promised bits, or not at all, also when the state has changed since."""
    assert entered[name].startswith("the environment variable TF_ENABLE_ONEDNN_OPTS: expected '0', got '1'")
