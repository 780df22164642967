"""Every CPU gives the same bits: a small real training, here and under emulated CPUs, against recorded digests."""

import json
import shutil
from pathlib import Path

import pytest
from support import helpers

pytestmark = pytest.mark.crosscpu

#: Digests of the order of an epoch, the trained weights, and the artifacts of the test step.
RECORDED = json.loads(Path(__file__).with_name("golden").joinpath("crosscpu.json").read_text())

#: Trains one epoch on 320 images, tests on 1,000, and prints the digests.
WITNESS = """
import hashlib, json
from fmnist.steps import dataset, evaluation, training
from fmnist.steps.settings import Settings
train, test = dataset.load("train"), dataset.load("test")
few, some = dataset.Split(train.images[:330], train.labels[:330]), dataset.Split(test.images[:1000], test.labels[:1000])
trained = training.train(Settings(epochs=2), few, on_epoch=lambda *_: None)
tested = evaluation.test(trained.model, some).artifacts()
weights = b"".join(weight.tobytes() for weight in trained.model.get_weights())
digests = {"order": training.epoch_order(0, 1, 57_000).numpy().tobytes(), "weights": weights}
digests |= {"results": tested["results"], "metrics": tested["metrics"]}
print(json.dumps({name: hashlib.sha256(content).hexdigest() for name, content in digests.items()}))
"""


@pytest.mark.parametrize("cpu", ["this one", "Haswell", "EPYC-Rome"])
def test_a_cpu_gives_the_recorded_bits(cpu: str) -> None:
    """Order, weights, predictions, confidences and loss have the recorded digests."""
    if not (emulator := shutil.which("qemu-x86_64")):
        helpers.missing("qemu-x86_64 (Debian's qemu-user)")
    prefix = () if cpu == "this one" else (emulator, "-cpu", cpu)
    assert json.loads(helpers.python(WITNESS, prefix=prefix)) == RECORDED
