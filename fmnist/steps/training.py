"""The train step, on an engine that compiles a whole epoch with XLA.

Each epoch's order is a pure function of (seed, epoch). Seeding Keras and calling `fit` repeats one order in
every epoch, which is another experiment: it costs accuracy.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from fmnist.steps import files, model, optimizers, plots
from fmnist.steps.checkpoint import Checkpoint
from fmnist.steps.checks import check_kind
from fmnist.steps.dataset import Split
from fmnist.steps.determinism import started, tensorflow
from fmnist.steps.errors import TrainingError
from fmnist.steps.messages import say
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
    model : keras.Model
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
        shape = vars(self).get("shape") or (self.model.input_shape[1:], self.model.output_shape[1])
        return {"file": self._file(), "shape": shape, "history": self.history}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __getattr__(self, name: str) -> Any:
        """Load the network that came from another process when it is asked for."""
        if name != "model" or "file" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        vars(self)["model"] = model.from_bytes(vars(self)["file"], *vars(self)["shape"])
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
    say(f"epoch {epoch}/{epochs}: {values}")


def report_resumed(epoch: int, epochs: int) -> None:
    """Print one line on the epoch after which a training resumes, counted from 1."""
    say(f"resumed after epoch {epoch}/{epochs}")


def train(
    settings: Settings,
    data: Split,
    on_epoch: Callable[[int, int, Mapping[str, float]], None] = report_epoch,
    checkpoint: str | Path | None = None,
    *,
    create: Callable[[int], Any] = model.create,
) -> Training:
    """Train the network of the tutorial, or another one, on the first part of `data`, validating on the rest.

    Parameters
    ----------
    settings : Settings
        Equal settings and data give equal bytes.
    data : Split
        Images and labels. The network gets uint8 images as float32 in [0, 1], and float32 ones as they are.
    on_epoch : callable
        Called after each epoch with its number from 1, the number of epochs, and its metrics.
    checkpoint : path, optional
        A file that keeps the state after each epoch. Where it exists, the training resumes from it, to the same bytes.
    create : callable
        Returns the untrained network for a seed, anew and the same each time: an uncompiled `keras.Sequential` or
        functional `keras.Model` from a batch of images to a logit for each class. What draws numbers in it, as an
        initializer or Dropout, and has no seed of its own, gets one that depends on this seed alone.

    Raises
    ------
    ContractError
        If an argument is of another kind; if `checkpoint` is damaged, or belongs to another training; or if the network
        would not be trained as Keras' own `fit` does it, or gives another file each time: the layer is named.
    SettingsError
        If the validation split leaves a part of `data` empty.
    TrainingError
        If the loss stops being finite.
    """
    check_kind("settings", settings, Settings, "Settings")
    check_kind("data", data, Split, "a Split, as load() returns it")
    check_kind("on_epoch", on_epoch, Callable, "a function")
    check_kind("checkpoint", checkpoint or "", (str, os.PathLike), "a path")
    check_kind("create", create, Callable, "a function of a seed")
    trainer = Trainer(settings, data, create)
    return trainer.train(settings.seed, on_epoch, trainer.checkpoint(checkpoint) if checkpoint else None)


class Trainer:
    """Trains the network from one seed after another; compiles the program once.

    Parameters and errors are those of `train`; the seed in `settings` does not matter, as long as it decides nothing
    but the values of the network's variables.
    """

    def __init__(self, settings: Settings, data: Split, create: Callable[[int], Any] = model.create) -> None:
        self._settings, self._data, self._create, own = settings, data, create, None
        self._at = settings.split_at(len(data))
        if create is not model.create:
            # Not a statement, by which the tutorial's own step would carry it.
            own = import_module("fmnist.steps.own_network")
            self._create = partial(own.created, create, data)
            own.check(self._create(settings.seed), self._create(settings.seed), data)
        self._network, self._optimizer = self._fresh(settings.seed)
        self._run_epoch = compile_epoch(self._network, self._optimizer, data, self._at, own)

    def checkpoint(self, path: str | Path) -> Checkpoint:
        """Return the checkpoint at `path` of a training with the seed in the settings."""
        return Checkpoint.of(path, self._settings, self._data, self._create(self._settings.seed))

    def train(
        self,
        seed: int,
        on_epoch: Callable[[int, int, Mapping[str, float]], None] = report_epoch,
        checkpoint: Checkpoint | None = None,
    ) -> Training:
        """Do what `train` does for `seed`, bit for bit."""
        fresh, optimizer = self._fresh(seed)
        _copy(fresh, self._network)
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
        _copy(self._network, fresh)
        return Training(fresh, history)

    def _fresh(self, seed: int) -> tuple[Any, Any]:
        """Return an untrained network and its optimizer, whose state may start from the network's weights."""
        fresh, optimizer = self._create(seed), optimizers.create(self._settings.compile_optimizer)
        optimizer.build(fresh.trainable_variables)
        return fresh, optimizer


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


def compile_epoch(
    trained: Any, optimizer: Any, data: Split, at: int, own: Any = None
) -> Callable[[Any], dict[str, float]]:
    """Return a function from an epoch's order to its metrics, which trains a network by one epoch.

    The first `at` images of `data` are the training part, in batches of `BATCH_SIZE`, the last of which may be smaller;
    the rest is the validation part. `optimizer` must be built for the variables of `trained`,
    and `own` is `fmnist.steps.own_network` if that is not the tutorial's network.
    """
    tf = tensorflow()
    variables, filled = trained.trainable_variables, own is None or own.is_by_image(trained)
    images, labels = tf.constant(data.images), tf.constant(data.labels, tf.int32)

    # The images are arguments: as constants of the graph XLA would copy them into the program.
    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def run_epoch(images: Any, labels: Any, order: Any) -> tuple[Any, ...]:
        def measure(batch: Any, counts: Any, *, training: bool) -> tuple[Any, Any, Any]:
            chosen = tf.gather(images, batch), tf.gather(labels, batch)
            losses, right = losses_and_correct(trained, *chosen, training=training)
            total, n = tf.reduce_sum(losses * tf.cast(counts, tf.float32)), tf.reduce_sum(tf.cast(counts, tf.float32))
            others = [tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in trained.losses]
            return total + n * tf.add_n(others) if others else total, n, right & counts

        def learn(places: Any, counts: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                total, n, right = measure(tf.gather(order, places), counts, training=True)
                mean = optimizer.scale_loss(total / n)
            optimizer.apply(tape.gradient(mean, variables), variables)
            return total, right

        def validate(places: Any, counts: Any) -> tuple[Any, Any]:
            total, _, right = measure(places + at, counts, training=False)
            return total, right

        loss, correct = _means(learn, at, filled=filled)
        if not filled:
            return loss, correct, *_means(validate, len(data) - at, filled=False)
        val_losses, val_right = losses_and_correct(trained, images[at:], labels[at:], training=False)
        val_loss = tf.reduce_mean(tf.cast(val_losses, tf.float64))
        return loss, correct, val_loss, tf.reduce_mean(tf.cast(val_right, tf.float64))

    if not filled:
        program = run_epoch.get_concrete_function(images, labels, tf.TensorSpec(at, tf.int32))
        own.check_program(program, (*trained.variables, *optimizer.variables))

    def metrics(order: Any) -> dict[str, float]:
        try:
            return dict(zip(METRICS, map(float, run_epoch(images, labels, order)), strict=True))
        except tf.errors.InvalidArgumentError as error:
            raise (own.uncompiled(error) if own else error) from error

    return metrics


def _means(step: Callable[[Any, Any], tuple[Any, Any]], n: int, *, filled: bool) -> tuple[Any, Any]:
    """Return the means over n places of what `step` sums up in each batch; the last is `filled` up, or smaller."""
    tf = started()
    whole = math.ceil(n / BATCH_SIZE) if filled else n // BATCH_SIZE

    def add(i: Any, places: Any, sums: Any) -> tuple[Any, Any, Any]:
        total, right = step(tf.minimum(places, n - 1), places < n)
        return i + 1, sums[0] + tf.cast(total, tf.float64), sums[1] + tf.math.count_nonzero(right)

    sums = (0, tf.constant(0.0, tf.float64), tf.constant(0, tf.int64))
    if whole:
        sums = tf.while_loop(
            lambda i, *_: i < whole, lambda i, *sums: add(i, i * BATCH_SIZE + tf.range(BATCH_SIZE), sums), sums
        )
    if whole * BATCH_SIZE < n:
        sums = add(whole, tf.range(whole * BATCH_SIZE, n), sums[1:])
    return sums[1] / n, sums[2] / n


def losses_and_correct(trained: Any, images: Any, labels: Any, *, training: bool) -> tuple[Any, Any]:
    """Return for each of n images its cross-entropy, float32, and whether it is classified right, bool."""
    tf = started()
    logits = trained(model.scale(images), training=training)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return losses, tf.equal(tf.argmax(logits, -1, output_type=tf.int32), labels)
