"""A check for any `fit` of Keras: it ends the training when an epoch repeats an order.

After `keras.utils.set_random_seed` the shuffle of `model.fit` starts again with each epoch, so that all epochs have
one order. This is another experiment than an unseeded `fit`, and a less accurate one.

Importing this module imports no Keras: a process may also train with fmnist, whose switches Keras must start with.
"""

import functools
from collections.abc import Callable
from typing import Any

from fmnist.steps.errors import FmnistError

__all__ = ["EpochOrders", "OrderError", "RepeatedOrderError"]

#: The state in which no batch has been read: not 0, which batches of zeros would leave as it is.
_START = 1


class OrderError(FmnistError, RuntimeError):
    """The orders of a training cannot be read."""


class RepeatedOrderError(OrderError):
    """Two epochs of a training had the same batches in the same order."""


class EpochOrders:
    """Take a fingerprint of each epoch's order, and end the training when one returns.

    Parameters
    ----------
    strict : bool
        Whether a repeated order is an error. If not, the callback only records it.

    Attributes
    ----------
    fingerprints : list of str
        Of the epochs of the last `fit`, 16 hexadecimal digits each: equal where the same batches came in the same
        order.

    Raises
    ------
    RepeatedOrderError
        From `fit`, at the end of the first epoch that repeats an order.
    OrderError
        If the backend of Keras is not TensorFlow, the training is on several devices, or the batches cannot be read.

    Notes
    -----
    The batches are read as `train_step` gets them: they must be real numbers, and a random augmentation in front of it
    hides an order that repeats. Each `fit` is looked at by itself: a loop of fits of one epoch is not compared. The
    training's own operations stay as they are, and so do its results, bit for bit.

    Examples
    --------
    ``model.fit(x, y, epochs=10, callbacks=[EpochOrders()])``
    """

    model: Any

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """Return a `keras.callbacks.Callback`: Keras is imported no earlier."""
        return super().__new__(_callback(cls))  # type: ignore[arg-type]  # a class has a hash

    def __init__(self, *, strict: bool = True) -> None:
        super().__init__()
        import keras

        if (backend := keras.backend.backend()) != "tensorflow":
            raise OrderError(f"EpochOrders: as the backend of Keras expected 'tensorflow', got {backend!r}")
        self.strict = strict
        self.fingerprints: list[str] = []

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Make a train function that reads the batches; the model keeps its own."""
        import keras

        if (replicas := self.model.distribute_strategy.num_replicas_in_sync) > 1:
            raise OrderError(f"EpochOrders: expected a training on one device, got {replicas}, which share each batch")
        self.fingerprints = []
        self._state = keras.Variable(_START, dtype="uint64", trainable=False)
        unread = self.model.train_function
        own_step = vars(self.model).get("train_step")
        self.model.train_step = _reading(self.model.train_step, self._state)
        self.model.make_train_function(force=True)
        del self.model.train_step
        if own_step is not None:
            self.model.train_step = own_step
        read, self.model.train_function = self.model.train_function, unread

        def read_once(iterator: Any) -> Any:
            self.model.train_function = unread
            return read(iterator)

        self._unread, self._read_once = unread, read_once

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Start a fingerprint."""
        self._state.assign(_START)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Have this batch read, and only this one: Keras does not tell callbacks that a training was interrupted."""
        if self.model.train_function is self._unread:
            self.model.train_function = self._read_once

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Compare the fingerprint with those before."""
        from keras import ops

        if (state := int(ops.convert_to_numpy(self._state))) == _START:
            raise OrderError(
                "EpochOrders: expected to read the batches, got none: there are none, or another callback compiled anew"
            )
        fingerprint = f"{state:016x}"
        self.fingerprints.append(fingerprint)
        age = len(self.fingerprints) - 1 - self.fingerprints.index(fingerprint)
        if self.strict and age:
            raise RepeatedOrderError(
                f"epochs {epoch + 1 - age} and {epoch + 1}: expected two orders, got the same "
                "batches in the same order. After keras.utils.set_random_seed the shuffle of fit starts again with "
                "each epoch, and with shuffle=False there is none. Shuffle the data by seed and epoch before fit, for "
                "example with fit(tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=seed).batch(32), "
                'shuffle=False). More: "The seeding trap" in the README of fmnist.'
            )


@functools.cache
def _callback(cls: type[Any]) -> type[Any]:
    """Return a class that is also Keras' class of callbacks."""
    import keras

    return cls if issubclass(cls, keras.callbacks.Callback) else type(cls.__name__, (cls, keras.callbacks.Callback), {})


def _reading(train_step: Callable[[Any], Any], state: Any) -> Callable[[Any], Any]:
    """Return a train step that folds each batch into `state` as well."""
    import keras

    def step(data: Any) -> Any:
        # First the training: its operations keep the numbers that TensorFlow derives their seeds from.
        logs = train_step(data)
        value = state.value
        for tensor in keras.tree.flatten(data):
            if tensor is not None:
                value = _scramble(value + _digest(tensor))
        state.assign(value)
        return logs

    return step


def _digest(tensor: Any) -> Any:
    """Return one number for a batch of n rows: their values and their places, weighted by pseudo-random numbers."""
    from keras import ops

    rows = ops.reshape(_bits(tensor), ((ops.shape(tensor) or (1,))[0], -1))
    n, size = ops.shape(rows)
    return ops.sum(_scramble(ops.sum(rows * _weights(size), axis=1)) * _weights(n))


def _bits(tensor: Any) -> Any:
    """Return the values of a tensor as uint64, other values as other numbers."""
    from keras import ops

    if type(tensor).__name__ in {"RaggedTensor", "SparseTensor"}:
        raise OrderError(f"EpochOrders: expected dense batches of real numbers, got a {type(tensor).__name__}")
    tensor = ops.convert_to_tensor(tensor)
    dtype = tensor.dtype
    if dtype.is_floating:
        tensor = ops.view(ops.reshape(tensor, (-1, 1)), f"uint{8 * dtype.size}")
    elif not (dtype.is_integer or dtype.is_bool):
        raise OrderError(f"EpochOrders: expected batches of real numbers, got dtype {dtype.name}")
    return ops.cast(tensor, "uint64")


def _weights(n: Any) -> Any:
    from keras import ops

    return _scramble(ops.cast(ops.arange(1, n + 1), "uint64"))


def _scramble(x: Any) -> Any:
    """Mix the bits of uint64, one to one, with the finalizer of MurmurHash3.

    References
    ----------
    https://github.com/aappleby/smhasher/wiki/MurmurHash3
    """
    from keras import ops

    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        x = (x ^ ops.right_shift(x, 33)) * factor
    return x ^ ops.right_shift(x, 33)
