"""The train step, on an engine that compiles a whole epoch with XLA.

Each epoch's order is a pure function of (seed, epoch). Seeding Keras and calling `fit` repeats one order in
every epoch, which is another experiment: it costs accuracy.
"""

import contextlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmnist.steps import files, model, optimizers, plots
from fmnist.steps.checkpoint import Checkpoint
from fmnist.steps.dataset import Split
from fmnist.steps.determinism import started, tensorflow
from fmnist.steps.errors import TrainingError
from fmnist.steps.messages import check_kind
from fmnist.steps.settings import Settings

__all__ = ["BATCH_SIZE", "METRICS", "Trainer", "Training", "epoch_order", "train"]

BATCH_SIZE = 32

#: The metrics in the history of each epoch.
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class Training:
    """The result of the train step.

    Attributes
    ----------
    model : keras.Sequential
        The trained network.
    history : dict of str to list of float
        For each of `METRICS`, one finite value an epoch.
    """

    model: Any
    history: dict[str, list[float]]

    def __repr__(self) -> str:
        epochs = max(map(len, self.history.values()), default=0)
        last = "".join(f", {name} {values[-1]:.4f}" for name, values in self.history.items() if values)
        return f"<Training of {epochs} epochs{last}>"

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process gets: the network as its file, as Keras would start there without the gate."""
        return {"file": self._file(), "history": self.history}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __getattr__(self, name: str) -> Any:
        """Load the network that came from another process when it is asked for."""
        if name != "model" or "file" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        vars(self)["model"] = model.from_bytes(vars(self)["file"])
        del vars(self)["file"]
        return self.model

    def _file(self) -> bytes:
        """Return the network's file, as it came or made now."""
        return vars(self)["file"] if "file" in vars(self) else model.to_bytes(self.model)

    def artifacts(self) -> Mapping[str, files.Content]:
        """Return `model`, `history`, `loss_plot` (PNG) and `loss_page` (HTML) as bytes."""
        picture = plots.loss_png(self.history)
        return {
            "model": self._file(),
            "history": files.canonical_json(self.history),
            "loss_plot": picture,
            "loss_page": plots.loss_html(self.history, picture),
        }


def report_epoch(epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
    """Print one line on a finished epoch, counted from 1."""
    values = " ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    with contextlib.suppress(OSError, ValueError):  # nobody reads, which is no reason to end a training
        print(f"epoch {epoch}/{epochs}: {values}", flush=True)  # noqa: T201 - a step's log is what it prints


def report_resumed(epoch: int, epochs: int) -> None:
    """Print one line on the epoch after which a training resumes, counted from 1."""
    print(f"resumed after epoch {epoch}/{epochs}", flush=True)  # noqa: T201 - a step's log is what it prints


def train(
    settings: Settings,
    data: Split,
    on_epoch: Callable[[int, int, Mapping[str, float]], None] = report_epoch,
    checkpoint: str | Path | None = None,
) -> Training:
    """Train the network of the tutorial on the first part of `data`, validating on the rest.

    Parameters
    ----------
    settings : Settings
        Equal settings and data give equal bytes.
    data : Split
        Images, uint8 of shape (n, 28, 28), and labels.
    on_epoch : callable
        Called after each epoch with its number from 1, the number of epochs, and its metrics.
    checkpoint : path, optional
        A file that keeps the state after each epoch. Where it exists, the training resumes from it, to the same bytes.

    Raises
    ------
    ContractError
        If an argument is of another kind, or `checkpoint` is damaged, or belongs to another training.
    SettingsError
        If the validation split leaves a part of `data` empty.
    TrainingError
        If the loss stops being finite.
    """
    check_kind("settings", settings, Settings, "Settings")
    check_kind("data", data, Split, "a Split, as load() returns it")
    check_kind("on_epoch", on_epoch, Callable, "a function")
    check_kind("checkpoint", checkpoint or "", (str, os.PathLike), "a path")
    kept = Checkpoint.of(checkpoint, settings, data) if checkpoint else None
    return Trainer(settings, data).train(settings.seed, on_epoch, kept)


class Trainer:
    """Trains the network from one seed after another; compiles the program once.

    Parameters and errors are those of `train`; the seed in `settings` does not matter.
    """

    def __init__(self, settings: Settings, data: Split) -> None:
        self._settings, self._at = settings, settings.split_at(len(data))
        self._network, self._optimizer = self._fresh(settings.seed)
        self._run_epoch = compile_epoch(self._network, self._optimizer, data, self._at)

    def train(
        self,
        seed: int,
        on_epoch: Callable[[int, int, Mapping[str, float]], None] = report_epoch,
        checkpoint: Checkpoint | None = None,
    ) -> Training:
        """Do what `train` does for `seed`, bit for bit."""
        network, optimizer = self._fresh(seed)
        _copy(network, self._network)
        _copy(optimizer, self._optimizer)
        epochs = self._settings.epochs
        variables = (*self._network.variables, *self._optimizer.variables)
        history: dict[str, list[float]] = {name: [] for name in METRICS}
        if checkpoint and (kept := checkpoint.restore(variables, METRICS)):
            history = kept
            report_resumed(len(history["loss"]), epochs)
        for epoch in range(len(history["loss"]), epochs):
            metrics = self._run_epoch(epoch_order(seed, epoch, self._at))
            _check_finite(metrics, epoch + 1)
            for name, value in metrics.items():
                history[name].append(value)
            if checkpoint:
                checkpoint.save(variables, history)
            on_epoch(epoch + 1, epochs, metrics)
        self._optimizer.finalize_variable_values(self._network.trainable_variables)
        _copy(self._network, network)
        return Training(network, history)

    def _fresh(self, seed: int) -> tuple[Any, Any]:
        """Return an untrained network and its optimizer, whose state may start from the network's weights."""
        network, optimizer = model.create(seed), optimizers.create(self._settings.compile_optimizer)
        optimizer.build(network.trainable_variables)
        return network, optimizer


def _copy(source: Any, target: Any) -> None:
    """Give the variables of a network or an optimizer the values of another's."""
    for variable, value in zip(target.variables, source.variables, strict=True):
        variable.assign(value)


def _check_finite(metrics: Mapping[str, float], epoch: int) -> None:
    if not all(map(math.isfinite, metrics.values())):
        raise TrainingError(
            f"epoch {epoch}: expected a finite loss, got {dict(metrics)}: the training diverged. "
            "Choose a lower learning rate or another optimizer."
        )


def epoch_order(seed: int, epoch: int, n: int) -> Any:
    """Return the order in which `epoch` (from 0) visits `n` images: an int32 tensor, a permutation of 0..n-1.

    References
    ----------
    https://www.tensorflow.org/api_docs/python/tf/random/experimental/stateless_shuffle
    """
    tf = tensorflow()
    return tf.random.experimental.stateless_shuffle(tf.range(n), seed=(seed, epoch), alg="philox")


def compile_epoch(network: Any, optimizer: Any, data: Split, at: int) -> Callable[[Any], dict[str, float]]:
    """Return a function from an epoch's order to its metrics, which trains `network` by one epoch.

    The first `at` images of `data` are the training part, in batches of `BATCH_SIZE`, the last of which may be smaller;
    the rest is the validation part. `optimizer` must be built for the variables of `network`.
    """
    tf = tensorflow()
    variables = network.trainable_variables
    images, labels = tf.constant(data.images), tf.constant(data.labels, tf.int32)
    batches = math.ceil(at / BATCH_SIZE)

    # The images are arguments: as constants of the graph XLA would copy them into the program.
    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def run_epoch(images: Any, labels: Any, order: Any) -> tuple[Any, ...]:
        def learn(i: Any, loss: Any, correct: Any) -> tuple[Any, Any, Any]:
            # The last batch is filled up with an image that does not count: one program fits all batches.
            places = i * BATCH_SIZE + tf.range(BATCH_SIZE)
            counts = places < at
            batch = tf.gather(order, tf.minimum(places, at - 1))
            with tf.GradientTape() as tape:
                losses, right = losses_and_correct(network, tf.gather(images, batch), tf.gather(labels, batch))
                total = tf.reduce_sum(losses * tf.cast(counts, tf.float32))
                mean = optimizer.scale_loss(total / tf.reduce_sum(tf.cast(counts, tf.float32)))
            optimizer.apply(tape.gradient(mean, variables), variables)
            return i + 1, loss + tf.cast(total, tf.float64), correct + tf.math.count_nonzero(right & counts)

        start = (0, tf.constant(0.0, tf.float64), tf.constant(0, tf.int64))
        _, loss, correct = tf.while_loop(lambda i, *_: i < batches, learn, start)
        val_losses, val_right = losses_and_correct(network, images[at:], labels[at:])
        val_loss = tf.reduce_mean(tf.cast(val_losses, tf.float64))
        return loss / at, correct / at, val_loss, tf.reduce_mean(tf.cast(val_right, tf.float64))

    return lambda order: dict(zip(METRICS, map(float, run_epoch(images, labels, order)), strict=True))


def losses_and_correct(network: Any, images: Any, labels: Any) -> tuple[Any, Any]:
    """Return for each of n uint8 images its cross-entropy, float32, and whether it is classified right, bool."""
    tf = started()

    logits = network(model.scale(images))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return losses, tf.equal(tf.argmax(logits, -1, output_type=tf.int32), labels)
