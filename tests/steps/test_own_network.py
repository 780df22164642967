"""Tests of networks that are not the tutorial's: trained as Keras does it, or refused."""

import contextlib
import itertools
import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support import helpers

from fmnist.steps import evaluation, model, optimizers, own_network, training
from fmnist.steps.dataset import Split
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import ContractError
from fmnist.steps.settings import Settings

tf = tensorflow()
import keras  # noqa: E402 - through the gate
from keras import layers  # noqa: E402 - as above

CLASSES = ("cat", "dog", "emu")
SETTINGS = Settings("sgd", epochs=2, seed=1, validation_split=0.05)
ZEROS = {"kernel_initializer": "zeros"}


@keras.saving.register_keras_serializable("tests")
class Counter(layers.Layer):  # type: ignore[misc]
    """A layer with a state of its own, a loss, and a look at its whole batch."""

    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any, *, training: bool = False) -> Any:
        if training:
            self.calls.assign(self.calls + 1)
        self.add_loss(keras.ops.mean(x) ** 2)
        return (x - keras.ops.mean(x, axis=0)) * (1 + self.calls / 10)


@pytest.fixture(scope="module")
def data() -> Split:
    """36 images of 8×8: 34 for training, which is a batch and two images, and two for validation."""
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (36, 8, 8, 1), np.uint8), rng.integers(0, 3, 36, np.uint8), CLASSES)


def sequential(*parts: Any, shape: tuple[int, ...] = (8, 8, 1)) -> Any:
    """Return a network of these layers, and three logits."""
    return keras.Sequential([keras.Input(shape), *parts, layers.Flatten(), layers.Dense(3)])


def frozen(layer: Any) -> Any:
    """Return a layer that is not trained."""
    layer.trainable = False
    return layer


def eventful(_: int) -> Any:
    """Return a network of all that a forward pass alone leaves out: none has a name or a seed."""
    return sequential(
        layers.RandomFlip(),
        layers.GaussianNoise(0.1),
        keras.Sequential([layers.Conv2D(4, 3, kernel_regularizer="l2"), layers.BatchNormalization()]),
        layers.SpatialDropout2D(0.3),
        layers.ReLU(),
        Counter(),
        frozen(layers.BatchNormalization()),
        layers.SpectralNormalization(layers.Conv2D(3, 2, activity_regularizer="l1")),
        layers.BatchNormalization(renorm=True),
        frozen(layers.Dense(5)),
        layers.Dropout(0.5, seed=7),
    )


def forked(_: int) -> Any:
    """Return a network with branches, operations that are no layers, a shared layer, and layers within another."""
    image = keras.Input((8, 8, 1))
    rows = layers.Reshape((8, 8))(image)
    shared = layers.Dense(8, activation="relu")
    summed = keras.ops.relu(layers.Dropout(0.2)(shared(rows))) + shared(rows)
    return keras.Model(image, layers.Dense(3)(layers.Bidirectional(layers.GRU(4, dropout=0.2))(summed)))


def train(create: Callable[[int], Any], data: Split, **options: Any) -> training.Training:
    """Train without a word."""
    return training.train(SETTINGS, data, on_epoch=lambda *_: None, create=create, **options)


def keras_training(create: Callable[[int], Any], data: Split) -> tuple[Any, dict[str, list[float]]]:
    """Train as the engine does, but by Keras' own `train_on_batch` and `evaluate`, compiled by XLA as well."""
    random.seed(SETTINGS.seed)
    trained = create(SETTINGS.seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = optimizers.create(SETTINGS.compile_optimizer)
    trained.compile(optimizer, loss, metrics=["accuracy"], jit_compile=True)
    images, at = (data.images / 255.0).astype(np.float32), SETTINGS.split_at(len(data))
    history: dict[str, list[float]] = {name: [] for name in training.METRICS}
    for epoch in range(SETTINGS.epochs):
        order = training.epoch_order(SETTINGS.seed, epoch, at).numpy()
        sums = dict.fromkeys(("loss", "accuracy"), 0.0)
        for start in range(0, at, 32):
            batch = order[start : start + 32]
            trained.reset_metrics()
            logs = trained.train_on_batch(images[batch], data.labels[batch], return_dict=True)
            sums = {name: value + logs[name] * len(batch) for name, value in sums.items()}
        validation = trained.evaluate(images[at:], data.labels[at:], 32, verbose=0, return_dict=True)
        for name in sums:
            history[name].append(sums[name] / at)
            history[f"val_{name}"].append(validation[name])
    return trained, history


@pytest.fixture(scope="module")
def trained(data: Split) -> training.Training:
    """What the engine makes of the eventful network."""
    return train(eventful, data)


def test_the_engine_does_all_that_keras_does(data: Split, trained: training.Training) -> None:
    """Weights, moving averages, states of random layers and the history are those of `train_on_batch`."""
    expected_network, history = keras_training(eventful, data)
    assert len(trained.model.variables) == len(expected_network.variables)
    for got, expected in zip(trained.model.variables, expected_network.variables, strict=True):
        wanted = expected.numpy().astype(float)
        np.testing.assert_allclose(got.numpy().astype(float), wanted, atol=1e-6, rtol=0, err_msg=got.path)
    for metric in training.METRICS:
        np.testing.assert_allclose(trained.history[metric], history[metric], atol=1e-6, rtol=0, err_msg=metric)


@pytest.mark.parametrize("create", [eventful, forked])
def test_an_unnamed_network_is_the_same_whatever_was_made_before(create: Callable[[int], Any], data: Split) -> None:
    """Neither the names that Keras counts nor the seeds that it draws show in the file, or in any variable."""
    first = own_network.created(create, data, 1)
    random.seed(99)
    forked(0)
    again = own_network.created(create, data, 1)
    assert model.to_bytes(again) == model.to_bytes(first)
    assert all(map(np.array_equal, again.variables, first.variables))
    other = own_network.created(create, data, 2)
    assert not np.array_equal(other.variables[-2], first.variables[-2])


#: A network is the first thing in this process that imports Keras, by itself.
FIRST = """
import hashlib
import numpy as np
from fmnist.steps import dataset, model, own_network
def create(seed):
    from keras import Sequential, layers
    return Sequential([layers.Input((4,)), layers.Dense(3)])
data = dataset.Split(np.zeros((2, 4), np.float32), np.zeros(2, np.uint8), ("cat", "dog", "emu"))
for _ in range(2): print(hashlib.sha256(model.to_bytes(own_network.created(create, data, 1))).hexdigest())
"""


def test_the_first_network_of_a_process_is_like_the_others() -> None:
    """The import of Keras draws of Python's numbers, and is over before the network draws of them."""
    first, second = helpers.python(FIRST).split()
    assert first == second


def broken(_: int) -> Any:
    """Fail as code that somebody wrote may."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("create", "outcome"),
    [
        (eventful, contextlib.nullcontext()),
        (lambda _: None, pytest.raises(ContractError, match="got a NoneType")),
        (broken, pytest.raises(ZeroDivisionError)),
    ],
    ids=["created", "refused", "an error"],
)
def test_pythons_generator_goes_on_as_it_was(
    create: Callable[[int], Any], outcome: contextlib.AbstractContextManager[Any], data: Split
) -> None:
    """Nobody else's random numbers start again because a network was created, or was not."""
    random.seed(5)
    expected = random.random()  # noqa: S311 - no secret
    random.seed(5)
    with outcome:
        own_network.created(create, data, 1)
    assert random.random() == expected  # noqa: S311 - as above


def test_a_network_of_ones_own_is_tested_and_read(data: Split, trained: training.Training) -> None:
    """The test step takes its data, without noise or dropout; its classes travel along, and its file is read again."""
    tested = evaluation.test(trained.model, data)
    assert tested.labels.class_names == CLASSES
    logits = trained.model((data.images / 255.0).astype(np.float32), training=False).numpy()
    assert np.array_equal(tested.labels.predicted, logits.argmax(-1))
    again = pickle.loads(pickle.dumps(trained))  # noqa: S301 - our own
    assert helpers.digest(again.model) == helpers.digest(trained.model)


def test_the_names_that_somebody_gave_stay() -> None:
    """Only the names that Keras counts are counted anew, and only in the file."""
    convolutions = (layers.Conv2D(2, 3, name=name) for name in ("first", "conv2d_07"))
    own = sequential(*convolutions, layers.Dense(2, name="dense_b"))
    before = [layer.name for layer in own.layers]
    again = model.from_bytes(model.to_bytes(own), (8, 8, 1), 3)
    assert [layer.name for layer in again.layers] == ["first", "conv2d", "dense_b", "flatten", "dense"]
    assert [layer.name for layer in own.layers] == before


@keras.saving.register_keras_serializable("tests")
class Noisy(layers.Layer):  # type: ignore[misc]
    """A layer that draws numbers from a state that is not its own."""

    def __init__(self, draw: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.draw = draw

    def call(self, x: Any, *, training: bool = False) -> Any:
        if not training:
            return x
        return x + {"tf": tf.random.normal, "keras": keras.random.normal}[self.draw](keras.ops.shape(x))


@keras.saving.register_keras_serializable("tests")
class Averaging(layers.Layer):  # type: ignore[misc]
    """A layer with a metric."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.metric = keras.metrics.Mean("brightness")

    def call(self, x: Any) -> Any:
        self.metric.update_state(x)
        return x


@keras.saving.register_keras_serializable("tests")
class Forgetful(layers.Layer):  # type: ignore[misc]
    """A layer whose config lacks a part."""

    factor = 1.0

    def call(self, x: Any) -> Any:
        return x * self.factor


@keras.saving.register_keras_serializable("tests")
class Normed(layers.Layer):  # type: ignore[misc]
    """A layer that makes probabilities without Keras."""

    def call(self, x: Any) -> Any:
        return tf.nn.softmax(x)


@keras.saving.register_keras_serializable("tests")
class Masked(layers.Layer):  # type: ignore[misc]
    """A layer that masks images, but only in training."""

    def call(self, x: Any, *, training: bool = False) -> Any:
        if training:
            x *= 2
            x._keras_mask = keras.ops.any(x > 0, axis=-1)
        return x


class Built(layers.Layer):  # type: ignore[misc]
    """A layer that draws its weights where it is built."""

    def build(self, shape: Any) -> None:
        self.weights_of_it = self.add_weight(shape=(9,), initializer="uniform")

    def call(self, x: Any) -> Any:
        return x


class Subclassed(keras.Model):  # type: ignore[misc]
    """A model that is code, of which Keras knows neither input nor output."""


def ending(*parts: Any, dtype: str = "float32") -> Any:
    """Return a network that ends with these layers."""
    return keras.Sequential([keras.Input((8, 8, 1), dtype=dtype), layers.Flatten(), *parts])


def compiled() -> Any:
    """Return a network with a loss and an optimizer of its own."""
    own = sequential()
    own.compile("sgd", "mse")
    return own


def stepping(method: str) -> Any:
    """Return a network with a method of its own, which is not in its file."""
    own = sequential()
    setattr(own, method, lambda *_, **__: {})
    return own


def operation() -> Any:
    """Return a network that ends with an operation that is no layer."""
    image = keras.Input((8, 8, 1))
    return keras.Model(image, keras.ops.softmax(layers.Dense(3)(layers.Flatten()(image))))


def unseeded() -> Any:
    """Return a network whose weights nobody can have again."""
    own = sequential()
    own.set_weights([np.random.default_rng().normal(size=weight.shape) for weight in own.get_weights()])
    return own


def forgetful(factor: float) -> Any:
    """Return a network with a factor that its file does not have."""
    layer = Forgetful()
    layer.factor = factor
    return sequential(layer)


def growing(sizes: Iterator[int] = itertools.count(1)) -> Any:  # noqa: B008 - one for all calls
    """Return a larger kernel each time."""
    return sequential(layers.Conv2D(2, 3, name=f"convolution_{next(sizes)}"))


def two_inputs() -> Any:
    """Return a network of two images."""
    images = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    return keras.Model(images, layers.Dense(3)(layers.Flatten()(images[0] + images[1])))


def two_outputs() -> Any:
    """Return a network with two answers."""
    image = keras.Input((8, 8, 1))
    flat = layers.Flatten()(image)
    return keras.Model(image, [layers.Dense(3)(flat), layers.Dense(3)(flat)])


#: Layers that a function of somebody's takes from elsewhere.
KEPT, KEPT_DROPOUT = layers.Dense(3, name="kept"), layers.Dropout(0.5, name="kept_dropout")
SHAPES = r"expected the data's shapes of input and output, \(\(None, 8, 8, 1\), \(None, 3\)\), got "
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing": (lambda: None, r"expected a keras.Sequential or a functional keras.Model, got a NoneType\."),
    "a subclass": (Subclassed, r"got a Subclassed\."),
    "a layer of Keras": (lambda: layers.Dense(3), r"got a Dense\."),
    "a class with the name of Keras'": (type("Sequential", (keras.Sequential,), {}), r"got a Sequential\."),
    "compiled": (compiled, "expected an uncompiled one, got a loss and an optimizer, which would be ignored"),
    "softmax": (
        lambda: ending(layers.Dense(3, activation="softmax", name="last")),
        "expected logits, got probabilities from layer 'last'. Leave its activation out.",
    ),
    "softmax layer": (lambda: ending(layers.Dense(3), layers.Softmax(name="last")), "logits, .* from layer 'last'"),
    "sigmoid": (lambda: ending(layers.Dense(3), layers.Activation("sigmoid", name="s")), "logits, .* from layer 's'"),
    "nested softmax": (lambda: keras.Sequential([keras.Input((8, 8, 1)), operation()]), "logits, got probabilities"),
    "softmax operation": (operation, "expected logits, got probabilities from layer 'softmax"),
    "softmax behind dropout": (
        lambda: ending(layers.Dense(3, activation="softmax"), layers.Dropout(0.1, name="last")),
        "expected logits, got probabilities from layer 'last'. Leave the softmax before it out.",
    ),
    "softmax of TensorFlow": (lambda: ending(layers.Dense(3), Normed(name="last")), "probabilities from layer 'last'"),
    "softmax as an activation": (
        lambda: ending(layers.Dense(3, activation=layers.Softmax(), name="last")),
        "expected logits, got probabilities from layer 'last'",
    ),
    "a named output": (
        lambda: keras.Model(
            image := keras.Input((8, 8, 1)), {"answer": layers.Dense(3, name="last")(layers.Flatten()(image))}
        ),
        "expected one array of logits, got a dict. Let layer 'last' be the only output, without a name.",
    ),
    "a step of its own": (
        lambda: stepping("train_step"),
        "expected a network that is trained by its loss, got its own train_step, which would be ignored. Leave it out.",
    ),
    "a test of its own": (lambda: stepping("test_step"), "got its own test_step, which would be ignored"),
    "a loss of its own": (lambda: stepping("compute_loss"), "got its own compute_loss, which would be ignored"),
    "a mask in training": (lambda: ending(layers.Dense(3), Masked(name="last")), "got one from layer 'last'"),
    "a mask": (
        lambda: ending(layers.Masking(), layers.Dense(3, name="last")),
        "expected logits without a mask, by which Keras' loss leaves images out, got one from layer 'last'. "
        "Let no mask reach it.",
    ),
    "half precision": (
        lambda: sequential(layers.Conv2D(2, 3, dtype="mixed_bfloat16", name="half")),
        "expected float32 in each layer, got mixed_bfloat16 in 'half'",
    ),
    "nested half precision": (
        lambda: sequential(keras.Sequential([layers.Conv2D(2, 3, dtype="float64", name="double")])),
        "expected float32 in each layer, got float64 in 'double'",
    ),
    "whole numbers": (lambda: ending(layers.Dense(3), dtype="int32"), "expected an input of float32, got int32"),
    "frozen": (lambda: frozen(sequential()), "expected something to train, got no trainable variable"),
    "a metric": (lambda: sequential(Averaging()), "expected no metric of its own, .* got 'brightness'"),
    "a class too many": (lambda: ending(layers.Dense(4)), SHAPES + r"\(\(None, 8, 8, 1\), \(None, 4\)\)"),
    "other images": (lambda: sequential(shape=(9, 9, 1)), SHAPES + r"\(\(None, 9, 9, 1\), \(None, 3\)\)"),
    "two inputs": (two_inputs, SHAPES),
    "two outputs": (two_outputs, SHAPES),
    "a stateful layer": (
        lambda: keras.Sequential(
            [keras.Input((8, 8, 1), 32), layers.Reshape((8, 8)), layers.LSTM(2, stateful=True), layers.Dense(3)]
        ),
        SHAPES + r"\(\(32, 8, 8, 1\), \(32, 3\)\)",
    ),
    "a layer of the time before": (
        lambda: ending(KEPT),
        "expected new layers each time, got 'kept' of the time before. Make it within the function.",
    ),
    "a dropout of the time before": (
        lambda: ending(frozen(KEPT_DROPOUT), layers.Dense(3)),
        "expected new layers each time, got 'kept_dropout' of the time before",
    ),
    "other weights each time": (unseeded, "expected equal weights each time, got others in sequential.*kernel"),
    "another network each time": (
        growing,
        "expected the same file each time, got another. Derive all of it from the seed alone.",
    ),
    "a file that lacks a part": (
        lambda: forgetful(2.0),
        "expected a file that answers as it does, got other logits. Let get_config of its layers return all they are.",
    ),
    "code": (lambda: sequential(layers.Lambda(lambda x: x)), "expected a .keras file that Keras loads safely"),
    "TensorFlow's generator": (lambda: sequential(Noisy(draw="tf", name="n")), "SeedGenerator of a layer, got .*/n"),
    "Keras' generator": (
        lambda: sequential(Noisy(draw="keras")),
        "no state but that of its layers, got the variable .*seed_generator",
    ),
    "not for XLA": (
        lambda: sequential(layers.RandomRotation(0.2, name="turned")),
        "expected operations that XLA compiles, got .*ImageProjectiveTransformV3.*/turned",
    ),
}


def test_random_numbers_of_whole_batches_are_refused(data: Split) -> None:
    """Where no batch is smaller, what trains is a loop in the program, and is looked into."""
    whole = replace(SETTINGS, validation_split=0.1)
    with pytest.raises(ContractError, match="from a keras.random.SeedGenerator of a layer, got others in"):
        training.train(whole, data, create=lambda _: sequential(Noisy(draw="tf")))


def test_what_xla_says_is_told_up_to_the_stack_of_the_operation() -> None:
    """Which is long, and so may be what it says."""
    stack = "The op is created at: a.py, The op is created at: b.py"
    assert str(own_network.uncompiled(ValueError(f"no kernel for X. {stack}"))) == (
        "network: expected operations that XLA compiles, got no kernel for X."
    )
    assert str(own_network.uncompiled(ValueError("x" * 501 + stack))) == (
        f"network: expected operations that XLA compiles, got {'x' * 500} ...."
    )


class Own(layers.Dense):  # type: ignore[misc]
    """A layer that may do with a batch what it likes."""


def mixed(x: Any) -> Any:
    """Mix the images of a batch, as an activation."""
    return x - keras.ops.mean(x, axis=0)


@pytest.mark.parametrize(
    ("make", "by_image"),
    [
        (lambda: model.create(0), True),
        (lambda: sequential(layers.Dense(4, activation="relu", kernel_regularizer="l2")), True),
        (lambda: keras.Model(inputs := keras.Input((8,)), layers.Dense(3)(inputs)), True),
        (lambda: sequential(layers.Dense(4, activity_regularizer="l2")), False),
        (lambda: sequential(layers.Dense(4, activation=mixed)), False),
        (lambda: sequential(Own(4)), False),
        (lambda: sequential(layers.BatchNormalization()), False),
        (lambda: sequential(layers.Dropout(0.5)), False),
        (lambda: sequential(layers.Conv2D(2, 3)), False),
    ],
    ids=[
        *("the tutorial's", "other dense layers", "functional"),
        *("a loss of activities", "an activation of one's own", "a layer of one's own"),
        *("normalization", "dropout", "convolution"),
    ],
)
def test_it_is_known_whether_an_image_is_by_itself(make: Callable[[], Any], by_image: bool) -> None:
    """Only of layers that are known to look at one image at a time, and to have no loss of a batch."""
    assert own_network.is_by_image(make()) == by_image


def test_a_network_is_created_with_its_seed_for_the_data(data: Split) -> None:
    """One without an input is built for the shape of the images, with weights of that seed too."""
    seeds: list[int] = []

    def create(seed: int) -> Any:
        seeds.append(seed)
        return keras.Sequential([layers.Flatten(), Built(), layers.Dense(3)])

    first, again, other = (own_network.created(create, data, seed) for seed in (7, 7, 8))
    assert first.input_shape == (None, 8, 8, 1)
    assert seeds == [7, 7, 8]
    drawn, same, others = (network.layers[1].weights_of_it.numpy().tolist() for network in (first, again, other))
    assert drawn == same != others


def test_a_network_without_an_input_is_trained(data: Split) -> None:
    """To the weights of the same network with one."""
    without = train(lambda _: keras.Sequential([layers.Flatten(), layers.Dense(3, **ZEROS)]), data)
    with_it = train(
        lambda _: keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, **ZEROS)]), data
    )
    assert without.model.input_shape == (None, 8, 8, 1)
    assert helpers.digest(without.model) == helpers.digest(with_it.model)


def test_a_network_with_a_layer_more_is_another(data: Split) -> None:
    """Each weight that both have is the same, but not the file."""
    one, more = (
        keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), *(layers.Dense(3, **ZEROS) for _ in range(count))])
        for count in (1, 2)
    )
    with pytest.raises(ContractError, match="expected the same file each time"):
        own_network.check(one, more, data)


def test_a_frozen_part_may_be_that_of_the_time_before() -> None:
    """As one that was trained elsewhere: nothing changes it."""
    part = frozen(keras.Sequential([keras.Input((192,)), layers.Dense(4), layers.BatchNormalization()]))
    networks = [ending(layers.Dense(192), part, layers.Dense(3)) for _ in range(2)]
    assert own_network._shared(*networks) == []
    part.trainable = True
    assert own_network._shared(*networks)[0] == part.name


def test_a_layer_that_was_adapted_may_be_that_of_the_time_before(data: Split) -> None:
    """Its figures are those of the data, and no training changes them."""
    adapted = layers.Normalization(axis=None)
    adapted.adapt(data.images)
    network, again = (own_network.created(lambda _: sequential(adapted), data, 1) for _ in range(2))
    own_network.check(network, again, data)


def test_a_compiled_network_is_refused(data: Split) -> None:
    """The message says what to do."""
    compiled = sequential()
    compiled.compile("adam", "mse")
    with pytest.raises(ContractError) as caught:
        own_network.check(compiled, compiled, data)
    assert str(caught.value) == (
        "network: expected an uncompiled one, got a loss and an optimizer, which would be ignored. Do not compile it."
    )


@pytest.mark.filterwarnings("ignore:.*does not have a `build")
@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_trained_otherwise_is_refused(name: str, data: Split) -> None:
    """A network that the engine would train in another way than Keras is refused, and its layer is named."""
    create, message = REFUSED[name]
    with pytest.raises(ContractError, match="(?s)" + message):
        train(lambda _: create(), data)
