"""Tests of the check for repeated orders, on Keras' own `fit`."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import helpers

from fmnist.orders import EpochOrders, OrderError, RepeatedOrderError
from fmnist.orders import _scramble as scramble
from fmnist.steps.determinism import tensorflow

tf = tensorflow()
import keras  # noqa: E402 - through the gate

#: Three batches, the last of 6.
N = 70

IMAGES = np.random.default_rng(0).integers(0, 256, (N, 4, 4), dtype=np.uint8)
LABELS = (np.arange(N) % 3).astype(np.int64)


@pytest.fixture(autouse=True)
def unseeded() -> Iterator[None]:
    """TensorFlow is as it was started, before each test and after it."""
    tf.random.set_seed(None)
    yield
    tf.random.set_seed(None)


def network(*, names: bool = False, **how: Any) -> Any:
    """Return a small compiled network, which takes images or, with `names`, a dict of them."""
    image = keras.Input((4, 4), name="image")
    hidden = keras.layers.Dropout(0.2, seed=3)(keras.layers.Flatten()(image))
    logits = keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(seed=1))(hidden)
    model = keras.Model({"image": image} if names else image, logits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], **{"jit_compile": False, **how})
    return model


def recorded(x: Any = IMAGES, y: Any = LABELS, *, epochs: int = 1, how: Any = None, **options: Any) -> list[str]:
    """Return the fingerprints of a training, whose data come in their order unless they are to be shuffled."""
    orders = EpochOrders(strict=False)
    how = {"run_eagerly": True, "names": isinstance(x, dict)} if how is None else how
    network(**how).fit(x, y, epochs=epochs, callbacks=[orders], verbose=0, **{"shuffle": False, **options})
    return orders.fingerprints


def swapped(values: Any, i: int, j: int) -> Any:
    """Return a copy of `values` in which two rows have each other's place."""
    order = np.arange(len(values))
    order[[i, j]] = j, i
    return values[order]


def test_importing_the_check_spoils_no_training() -> None:
    """It needs no Keras, so the switches may be set later; then it is a callback as any of Keras."""
    code = (
        "import sys; from fmnist.orders import EpochOrders\n"
        "print({'keras', 'tensorflow'} & sys.modules.keys())\n"
        "from fmnist.steps.determinism import tensorflow; tensorflow(); import keras, pickle\n"
        "class Mine(EpochOrders): pass\n"
        "print([isinstance(made, kind) for made in (EpochOrders(), Mine(strict=False))\n"
        "       for kind in (EpochOrders, keras.callbacks.Callback)], type(Mine()).__name__)"
    )
    assert helpers.python(code) == "set()\n[True, True, True, True] Mine\n"


def test_the_check_works_where_tensorflow_started_otherwise() -> None:
    """It asks for no switches: any `fit` of Keras has it, with threads and modes of its own."""
    code = (
        "import tensorflow as tf, numpy as np, keras; tf.config.experimental.enable_op_determinism()\n"
        "keras.utils.set_random_seed(1)\n"
        "from fmnist.orders import EpochOrders, RepeatedOrderError\n"
        "model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]); model.compile('sgd', 'mse')\n"
        "x = np.arange(99.0)[:, None]\n"
        "try: model.fit(x, x, epochs=2, verbose=0, callbacks=[EpochOrders()])\n"
        "except RepeatedOrderError: print('repeated')"
    )
    assert helpers.python(code, KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1") == "repeated\n"


class Shuffled(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches in an order of their own for each epoch, which a function of the epoch decides."""

    def __init__(self, order: Callable[[int], Any], values: Any = IMAGES) -> None:
        super().__init__()
        self.order = order
        self.values = values
        self.epoch = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, batch: int) -> tuple[Any, Any]:
        places = self.order(self.epoch)[32 * batch : 32 * (batch + 1)]
        return self.values[places], LABELS[places]

    def on_epoch_end(self) -> None:
        """Count the epochs."""
        self.epoch += 1


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"jit_compile": True}, id="XLA"),
        pytest.param({"jit_compile": False}, id="graph"),
        pytest.param({"run_eagerly": True}, id="eager"),
        pytest.param({"steps_per_execution": 2}, id="two steps at once"),
    ],
)
def test_fit_seeded_by_keras_repeats_its_order(how: dict[str, Any]) -> None:
    """Where Keras was seeded, `fit` ends after the second epoch with an error that says why and what to do."""
    keras.utils.set_random_seed(0)
    orders = EpochOrders()
    with pytest.raises(RepeatedOrderError) as caught:
        network(**how).fit(IMAGES, LABELS, epochs=4, callbacks=[orders], verbose=0)
    assert len(orders.fingerprints) == 2
    assert str(caught.value) == (
        "epochs 1 and 2: expected two orders, got the same batches in the same order. After "
        "keras.utils.set_random_seed the shuffle of fit starts again with each epoch, and with shuffle=False there is "
        "none. Shuffle the data by seed and epoch before fit, for example with "
        "fit(tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=seed).batch(32), shuffle=False). "
        'More: "The seeding trap" in the README of fmnist.'
    )
    (heading,) = re.findall('More: "(.*)" in the README', str(caught.value))
    assert f"# {heading}\n" in (Path(__file__).parents[1] / "README.md").read_text()


def test_unseeded_fit_has_an_order_for_each_epoch() -> None:
    """Where nothing was seeded, `fit` is let through, with as many fingerprints as epochs."""
    orders = EpochOrders()
    network(run_eagerly=True).fit(IMAGES, LABELS, epochs=4, callbacks=[orders], verbose=0)
    assert len(set(orders.fingerprints)) == 4


def test_data_that_are_not_shuffled_are_refused() -> None:
    """Without a shuffle each epoch has the same order, seeded or not."""
    with pytest.raises(RepeatedOrderError, match="epochs 1 and 2"):
        network(run_eagerly=True).fit(IMAGES, LABELS, epochs=2, shuffle=False, callbacks=[EpochOrders()], verbose=0)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            lambda: tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).shuffle(N, seed=0).batch(32), id="tf.data"
        ),
        pytest.param(
            lambda: Shuffled(lambda epoch: np.random.default_rng((0, epoch)).permutation(N)), id="by seed and epoch"
        ),
    ],
)
def test_a_shuffle_by_seed_and_epoch_passes(data: Callable[[], Any]) -> None:
    """The remedy is one: though Keras was seeded, the orders differ, and a second training has the same ones."""
    keras.utils.set_random_seed(0)
    orders, again = EpochOrders(), EpochOrders()
    assert orders.fingerprints == []
    network(run_eagerly=True).fit(data(), shuffle=False, epochs=4, callbacks=[orders], verbose=0)
    network(run_eagerly=True).fit(data(), shuffle=False, epochs=4, callbacks=[again], verbose=0)
    assert len(set(orders.fingerprints)) == 4
    assert again.fingerprints == orders.fingerprints


def test_epochs_far_apart_are_compared() -> None:
    """An order that comes back later is an error too, with the numbers that `fit` prints."""
    data = Shuffled(lambda epoch: np.random.default_rng(epoch % 2).permutation(N))
    with pytest.raises(RepeatedOrderError, match="epochs 6 and 8: "):
        network(run_eagerly=True).fit(
            data, shuffle=False, epochs=9, initial_epoch=5, callbacks=[EpochOrders()], verbose=0
        )


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(IMAGES, id="uint8"),
        pytest.param(IMAGES.astype(np.int64) - 128, id="int64"),
        pytest.param(IMAGES.astype(np.float16), id="float16"),
        pytest.param((IMAGES / 255.0).astype(np.float32), id="float32"),
        pytest.param(IMAGES / 255.0, id="float64"),
        pytest.param(np.eye(N, dtype=np.float32)[:, :16].reshape(N, 4, 4), id="one-hot"),
        pytest.param(IMAGES % 2 == 0, id="bool"),
    ],
)
def test_two_images_that_change_places_are_seen(values: Any) -> None:
    """A swap within a batch, one between batches, and one with the remainder each give another fingerprint."""
    orders = [np.arange(N), *(swapped(np.arange(N), i, j) for i, j in [(0, 1), (0, 32), (1, N - 1)])]
    data = Shuffled(lambda epoch: orders[epoch % 4], values)
    fingerprints = recorded(data, None, epochs=8)
    assert len(set(fingerprints)) == 4
    assert fingerprints[4:] == fingerprints[:4]


@pytest.mark.parametrize("rows", [2, 31, 32, 33, 64, 256, 1_000])
@pytest.mark.parametrize("shape", [(1,), (785,), (28, 28), (3, 5, 7, 2), ()], ids=str)
def test_every_row_of_a_batch_counts_and_each_value(rows: int, shape: tuple[int, ...]) -> None:
    """In batches of any size and shape no two rows can change places, and no value can change, unseen."""
    from fmnist import orders

    chance = np.random.default_rng(rows)
    batch = chance.normal(size=(rows, *shape)).astype(np.float32)
    digest = int(orders._digest(batch))
    assert int(orders._digest(batch.copy())) == digest
    pairs = [(0, rows - 1), (rows // 2, rows - 1), *chance.integers(0, rows, (3, 2)).tolist()]
    for i, j in pairs:
        assert i == j or int(orders._digest(swapped(batch, i, j))) != digest, (i, j)
    for place in (0, batch.size // 2, batch.size - 1):
        changed = batch.copy()
        changed.flat[place] += 1
        assert int(orders._digest(changed)) != digest, place


def test_a_fingerprint_is_that_of_earlier_releases() -> None:
    """So that those which somebody has kept can be compared."""
    from fmnist import orders

    batch = np.arange(24).reshape(2, 3, 4)
    batches = [batch.astype(np.float32), batch.astype(np.uint8), batch.astype(np.float64), batch[:, 0, 0]]
    assert [f"{int(orders._digest(one)):016x}" for one in batches] == [
        "1250e89b19094610",
        "f6e66ffcda8b3b55",
        "3f2bf777f35d45f0",
        "e99addc43f5178c9",
    ]


@pytest.mark.parametrize("size", [1, 7, 33, 64, N, 100])
def test_batches_of_any_size_are_read(size: int) -> None:
    """Whatever the size of a batch, also above that of the data: a swap of the last two images is another order."""
    one, same, other = (
        recorded(values, LABELS, batch_size=size, how={"run_eagerly": False})
        for values in (IMAGES, IMAGES, swapped(IMAGES, N - 2, N - 1))
    )
    assert one == same != other


def test_values_that_change_places_within_an_image_are_seen() -> None:
    """As those of images that are mirrored."""
    from fmnist import orders

    assert int(orders._digest(IMAGES[:, :, ::-1])) != int(orders._digest(IMAGES))


def test_labels_that_change_places_are_seen() -> None:
    """The labels count as the images do, and so do the weights of the images."""
    each = recorded(), recorded(IMAGES, swapped(LABELS, 0, 1)), recorded(sample_weight=np.arange(N))
    assert len({fingerprint for (fingerprint,) in each}) == 3


@pytest.mark.parametrize("how", [{}, {"steps_per_execution": 2}], ids=["one step", "two steps"])
def test_a_fingerprint_is_of_the_data_alone(how: dict[str, Any]) -> None:
    """Equal batches in equal order have equal fingerprints, however the model runs and whatever validates it."""
    assert recorded(how=how, validation_data=(IMAGES, LABELS)) == recorded()


def test_a_dict_of_inputs_is_read() -> None:
    """Inputs by name are told apart as others are."""
    named = recorded({"image": IMAGES}, epochs=2)
    assert named == recorded() * 2
    assert recorded({"image": swapped(IMAGES, 0, 1)}) != named[:1]


def test_batches_may_lack_weights() -> None:
    """As those of a generator that gives none in their place."""
    given = ((IMAGES[places], LABELS[places], None) for places in np.split(np.arange(N), [32, 64]))
    assert recorded(given, None, steps_per_epoch=3) == recorded()


def test_batches_of_zeros_are_read() -> None:
    """Where all values are zero, the fingerprint is still one, and it counts the batches."""
    zeros = np.zeros_like(IMAGES), np.zeros_like(LABELS)
    first, second = recorded(*zeros, epochs=2)
    assert first == second
    assert recorded(*zeros, batch_size=N) != [first]


def test_repeats_can_be_recorded_alone() -> None:
    """Where it is not strict, the training goes on to its end."""
    keras.utils.set_random_seed(0)
    first, *others = recorded(shuffle=True, epochs=4)
    assert others == [first] * 3


def test_each_fit_is_looked_at_by_itself() -> None:
    """One callback serves two trainings, which may share an order; what it said of the first one stays."""
    orders, model = EpochOrders(), network(run_eagerly=True)
    model.fit(IMAGES, LABELS, shuffle=False, callbacks=[orders], verbose=0)
    before = orders.fingerprints
    model.fit(IMAGES, LABELS, shuffle=False, callbacks=[orders], verbose=0)
    assert orders.fingerprints == before
    assert orders.fingerprints is not before
    assert len(before) == 1


@pytest.mark.parametrize("jit", [True, False], ids=["XLA", "graph"])
def test_the_training_keeps_its_bits(jit: bool) -> None:
    """Weights and history are the same with the callback and without."""
    results = []
    for callbacks in ([], [EpochOrders(strict=False)]):
        keras.utils.set_random_seed(0)
        model = network(jit_compile=jit)
        history = model.fit(IMAGES / 255.0, LABELS, epochs=3, callbacks=callbacks, verbose=0).history
        results.append((history, [weights.tobytes() for weights in model.get_weights()]))
    assert results[0] == results[1]


@pytest.mark.parametrize("strict", [True, False], ids=["after an error", "after the end"])
def test_the_model_is_left_as_it_was(strict: bool) -> None:
    """When the check is over, the model trains as before, without it."""
    model, orders = network(run_eagerly=True), EpochOrders(strict=strict)
    model.make_train_function()
    before = model.train_function
    keras.utils.set_random_seed(0)
    try:
        model.fit(IMAGES, LABELS, epochs=2, callbacks=[orders], verbose=0)
    except RepeatedOrderError:
        assert strict
    assert model.train_function is before
    assert "train_step" not in vars(model)


def test_a_train_step_of_the_models_own_is_kept() -> None:
    """A `train_step` that was set on the model itself takes the steps, and is still there afterwards."""
    model = network(run_eagerly=True)
    batches = []

    def train_step(data: Any) -> Any:
        batches.append(data)
        return keras.Model.train_step(model, data)

    model.train_step = train_step
    model.fit(IMAGES, LABELS, callbacks=[EpochOrders()], verbose=0)
    assert len(batches) == 3
    assert model.train_step is train_step


def interrupt(*args: Any, **options: Any) -> None:
    """Do what Ctrl-C does."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["train_step", "on_train_batch_end", "on_epoch_begin", "on_epoch_end"])
def test_an_interrupted_training_leaves_the_model_as_it_was(where: str) -> None:
    """Though Keras tells no callback that a training was interrupted, the model trains as before."""
    model = network(run_eagerly=True)
    callbacks = [EpochOrders()]
    if where == "train_step":
        model.train_step = interrupt
    else:
        callbacks.append(keras.callbacks.LambdaCallback(**{where: interrupt}))
    model.make_train_function()
    before = model.train_function
    with pytest.raises(KeyboardInterrupt):
        model.fit(IMAGES, LABELS, callbacks=callbacks, verbose=0)
    assert model.train_function is before


def test_a_batch_that_was_interrupted_before_it_began_is_the_last_one_read() -> None:
    """Where another callback interrupts between the check and the batch, the model's next batch sets it right."""
    model = network(run_eagerly=True)
    model.make_train_function()
    before = model.train_function
    orders = EpochOrders()
    for _ in range(2):
        stop = keras.callbacks.LambdaCallback(on_train_batch_begin=interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.fit(IMAGES, LABELS, callbacks=[orders, stop], verbose=0)
    model.fit(IMAGES, LABELS, verbose=0)
    assert model.train_function is before


@pytest.mark.parametrize("how", [{"run_eagerly": True}, {}, {"steps_per_execution": 2}], ids=["eager", "graph", "two"])
@pytest.mark.parametrize(
    ("values", "layer"),
    [
        (["a", "b"], lambda: keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")),
        ([1j, 2j], lambda: keras.layers.Lambda(keras.ops.real, output_shape=(1,))),
    ],
    ids=["string", "complex128"],
)
def test_batches_that_cannot_be_read_are_refused(values: list[Any], layer: Callable[[], Any], how: Any) -> None:
    """Where the data are not real numbers, the callback says what they are, and the model trains without it."""
    data = tf.data.Dataset.from_tensor_slices((np.reshape(values, (2, 1)), [0, 1])).batch(2)
    dtype = data.element_spec[0].dtype.name
    x = keras.Input((1,), dtype=dtype)
    model = keras.Model(x, keras.layers.Dense(1)(layer()(x)))
    model.compile("sgd", "mse", jit_compile=False, **how)
    with pytest.raises(RuntimeError, match=f"^EpochOrders: expected batches of real numbers, got dtype {dtype}$"):
        model.fit(data, shuffle=False, callbacks=[EpochOrders()], verbose=0)
    model.fit(data, shuffle=False, verbose=0)


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Keras does not run on TensorFlow, the callback says so at once."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="^EpochOrders: as the backend of Keras expected 'tensorflow', got 'jax'$"):
        EpochOrders()


def test_several_devices_are_refused() -> None:
    """Where several devices share each batch, nothing is said of its order."""
    orders: Any = EpochOrders()
    orders.set_model(SimpleNamespace(distribute_strategy=SimpleNamespace(num_replicas_in_sync=2)))
    why = "^EpochOrders: expected a training on one device, got 2, which share each batch$"
    with pytest.raises(RuntimeError, match=why):
        orders.on_train_begin()


@pytest.mark.parametrize(
    ("values", "kind"),
    [(tf.sparse.from_dense([[1.0, 0.0]]), "SparseTensor"), (tf.ragged.constant([[1.0], [2.0, 3.0]]), "RaggedTensor")],
)
def test_batches_that_are_not_dense_are_refused(values: Any, kind: str) -> None:
    """They are called what they are."""
    from fmnist import orders

    step = orders._reading(lambda data: data, keras.Variable(1, dtype="uint64"))
    with pytest.raises(OrderError, match=f"^EpochOrders: expected dense batches of real numbers, got a {kind}$"):
        step((values, tf.constant([0])))


def test_a_batch_may_be_one_number() -> None:
    """As a weight for the loss of each whole batch: it is no row, and counts."""
    from fmnist import orders

    digests = {int(keras.ops.convert_to_numpy(orders._digest(tf.constant(value)))) for value in (1.0, 2.0)}
    assert len(digests) == 2


def test_a_check_may_have_arguments_of_its_own() -> None:
    """Also those without names, which are for its own class alone."""

    class Named(EpochOrders):
        def __init__(self, name: str) -> None:
            super().__init__(strict=False)
            self.name = name

    assert (Named("mine").name, Named("mine").strict) == ("mine", False)


def test_batches_that_were_not_read_are_not_judged() -> None:
    """Where something else makes the train function again, the callback says so and finds no repeated order."""
    model = network()
    again = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: model.make_train_function(force=True))
    with pytest.raises(OrderError) as caught:
        model.fit(IMAGES, LABELS, epochs=2, callbacks=[EpochOrders(), again], verbose=0)
    assert not isinstance(caught.value, RepeatedOrderError)
    assert str(caught.value) == (
        "EpochOrders: expected to read the batches, got none: there are none, or another callback compiled anew"
    )


def test_bits_are_mixed_as_murmurhash_mixes_them() -> None:
    """The numbers that reference code gives (fmix64)."""
    mixed = {0: 0, 1: 0xB456BCFC34C2CB2C, 2: 0x3ABF2A20650683E7, 2**64 - 1: 0x64B5720B4B825F21}
    assert scramble(np.array([*mixed], np.uint64)).numpy().tolist() == [*mixed.values()]


@pytest.mark.parametrize(
    ("state", "said"), [(0, "0" * 16), (0xABC, "0" * 13 + "abc"), (2**64 - 1, "f" * 16)], ids=["none", "few", "all"]
)
def test_a_fingerprint_has_sixteen_digits(state: int, said: str) -> None:
    """Also where it begins with zeros, as one in sixteen does: a table of them is read column by column."""
    orders = EpochOrders()
    orders._state = keras.Variable(np.uint64(state), dtype="uint64", trainable=False)
    orders.on_epoch_end(0)
    assert orders.fingerprints == [said]
