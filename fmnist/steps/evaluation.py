"""The test step: the trained network classifies every test image."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.steps import files
from fmnist.steps.characters import cell
from fmnist.steps.checks import check_kind
from fmnist.steps.dataset import Split
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import ContractError
from fmnist.steps.labels import Labels
from fmnist.steps.model import check_fits, scale

__all__ = ["Evaluation", "Evaluator", "test"]

#: The columns of the table of results.
COLUMNS = IMAGE, PREDICTION, CONFIDENCE, ACTUAL = "image", "prediction", "confidence", "actual"


@dataclass(frozen=True)
class Evaluation:
    """The result of the test step on n images.

    Attributes
    ----------
    labels : Labels
        True and predicted labels, n of each.
    confidence : float32 ndarray of shape (n,)
        The softmax probability of the predicted class, in (0, 1].
    loss : float
        The mean cross-entropy.

    Raises
    ------
    ContractError
        If a confidence is NaN or outside (0, 1], or there is not one for each label, or the loss is not finite.
    """

    labels: Labels
    confidence: NDArray[np.float32]
    loss: float

    def __post_init__(self) -> None:
        check_kind("labels", self.labels, Labels, "Labels")
        check_kind("confidence", self.confidence, np.ndarray, "an array")
        if self.confidence.shape != (shape := self.labels.true.shape):
            raise ContractError(f"confidence: expected one for each label, of {shape}, got {self.confidence.shape}.")
        bad = self.confidence[~((self.confidence > 0) & (self.confidence <= 1))]
        if bad.size:
            raise ContractError(
                f"model: expected confidences in (0, 1], got {bad.size} others, the first of them {bad[0]}: "
                "do its weights hold NaN?"
            )
        if not abs(self.loss) < math.inf:
            raise ContractError(
                f"model: expected logits of which a finite loss follows, got a loss of {self.loss}: is one the "
                "logarithm of a probability that is 0?"
            )

    def __repr__(self) -> str:
        return f"<Evaluation of {len(self.labels.true):,} images: accuracy {self.accuracy:.4f}, loss {self.loss:.4f}>"

    @property
    def accuracy(self) -> float:
        """The share of images whose predicted label is the true one, in [0, 1]."""
        return float(np.count_nonzero(self.labels.true == self.labels.predicted) / len(self.labels.true))

    def artifacts(self) -> Mapping[str, files.Content]:
        """Return `results` (CSV), `labels` (a folder) and `metrics` (JSON) as bytes."""
        return {
            "results": self._results(),
            "labels": self.labels.files(),
            "metrics": files.canonical_json({"accuracy": self.accuracy, "loss": self.loss}),
        }

    def _results(self) -> bytes:
        """Return a table of one row an image, by its number in the test set; confidences in full precision."""
        names, out = [cell(name) for name in self.labels.class_names], io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        rows = zip(self.labels.predicted, self.confidence, self.labels.true, strict=True)
        for image, (predicted, confidence, true) in enumerate(rows):
            # Not str, which follows numpy's print mode.
            digits = np.format_float_positional(confidence, trim="0")
            writer.writerow([image, names[predicted], digits, names[true]])
        return out.getvalue().encode()


def test(network: Any, data: Split) -> Evaluation:
    """Let `network` classify every image of `data`, all in one batch.

    Parameters
    ----------
    network : keras.Model
        Takes a batch of images, uint8 ones as float32 in [0, 1], and gives a logit for each class.
    data : Split
        Images and labels.

    Raises
    ------
    ContractError
        If an argument is of another kind, or the images or the classes of `data` are not those of `network`.
    """
    tensorflow()
    import keras

    check_kind("network", network, keras.Model, "a network of Keras, as the model of a Training")
    check_kind("data", data, Split, "a Split, as load() returns it")
    return Evaluator(network, data).test(network)


class Evaluator:
    """Tests one network after another, all of the same layers; compiles the program once.

    Parameters are those of `test`; only the layers of `network` matter, not its weights.
    """

    def __init__(self, network: Any, data: Split) -> None:
        tf = tensorflow()
        check_fits(network, data)

        # Weights and images are arguments: as constants of the graph XLA would copy them into the program.
        @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
        def predict(weights: Any, images: Any, labels: Any) -> tuple[Any, Any, Any]:
            logits, _ = network.stateless_call(*weights, scale(images), training=False)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(tf.cast(losses, tf.float64))
            return tf.argmax(logits, -1), tf.reduce_max(tf.nn.softmax(logits), -1), loss

        self._predict, self._true, self._names = predict, data.labels.astype(np.int64), data.class_names
        self._data = tf.constant(data.images), tf.constant(data.labels, tf.int32)

    def test(self, network: Any) -> Evaluation:
        """Do what `test` does for `network`, bit for bit."""
        weights = [
            [variable.value for variable in variables]
            for variables in (network.trainable_variables, network.non_trainable_variables)
        ]
        predicted, confidence, loss = self._predict(weights, *self._data)
        return Evaluation(Labels(self._true, predicted.numpy(), self._names), confidence.numpy(), float(loss))


test.__test__ = False  # type: ignore[attr-defined]  # a step, which pytest would take for a test where it is imported
