"""Tests of naming and building optimizers."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.steps import optimizers
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import SettingsError

#: Keras knows these by name too, but they wrap others or are abstract.
WRAPPERS = {"lossscaleoptimizer", "multioptimizer", "optimizer", "optimizermap"}


def test_the_names_are_those_that_keras_knows() -> None:
    """The list holds exactly the optimizers that Keras makes by name."""
    tensorflow()
    from keras.src.optimizers import ALL_OBJECTS

    assert set(optimizers.OPTIMIZERS) == {kind.__name__.lower() for kind in ALL_OBJECTS} - WRAPPERS


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_each_name_builds_its_optimizer(name: str) -> None:
    """A name builds the optimizer of that name."""
    assert type(optimizers.create(name)).__name__.lower() == name


@given(name=st.sampled_from(optimizers.OPTIMIZERS), upper=st.lists(st.booleans(), min_size=20, max_size=20))
def test_case_does_not_count(name: str, upper: list[bool]) -> None:
    """A name in any case is the same optimizer."""
    mixed = "".join(c.upper() if up else c for c, up in zip(name, upper, strict=False))
    assert optimizers.canonical(mixed) == name


@pytest.mark.parametrize(
    ("name", "near"), [("adm", "adam"), ("rms_prop", "rmsprop"), ("SDG", "sgd"), ("nadan", "nadam"), (" adam", "adam")]
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, near: str) -> None:
    """A misspelt optimizer is refused, and the nearest is suggested."""
    with pytest.raises(SettingsError, match=rf"got '{name}'\. Did you mean '{near}'\?"):
        optimizers.canonical(name)


def test_an_unknown_name_with_nothing_near_lists_all() -> None:
    """Where no name is near, all are listed."""
    with pytest.raises(SettingsError, match="The names are adadelta, .*, sgd"):
        optimizers.canonical("zzz")


CONFIG = {"class_name": "Adam", "config": {"learning_rate": 0.01}}


def test_a_config_and_its_json_are_one() -> None:
    """A mapping and its JSON, however it is laid out, come to the same text."""
    assert optimizers.canonical(CONFIG) == optimizers.canonical(json.dumps(CONFIG, indent=4))


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_a_config_that_changes_nothing_is_the_name(name: str) -> None:
    """The defaults in other words, as an instance or as JSON, are the text by which results are compared."""
    instance = optimizers.create(name)
    assert optimizers.canonical(instance) == name
    assert optimizers.canonical(json.dumps({"class_name": type(instance).__name__})) == name


def test_a_config_is_built_with_its_values() -> None:
    """The learning rate of a config is the built optimizer's."""
    optimizer = optimizers.create(optimizers.canonical(CONFIG))
    assert float(optimizer.learning_rate) == pytest.approx(0.01)


def test_an_instance_is_its_config() -> None:
    """An optimizer instance comes to a text that builds an equal one."""
    tensorflow()
    import keras

    original = keras.optimizers.SGD(learning_rate=0.25, momentum=0.5)
    made = optimizers.create(optimizers.canonical(original))
    assert {**made.get_config(), "name": None} == {**original.get_config(), "name": None}


@pytest.mark.parametrize(
    "spelling",
    [
        {"class_name": "SGD", "config": {"momentum": 0.5, "learning_rate": 0.25}},
        {"class_name": "sgd", "config": {"learning_rate": 0.25, "momentum": 0.5, "nesterov": False, "name": "mine"}},
        {"module": "keras.optimizers", "class_name": "SGD", "config": {"learning_rate": 0.25, "momentum": 5e-1}},
    ],
    ids=["another order", "defaults spelt out", "as Keras serializes"],
)
def test_two_spellings_are_one_parameter(spelling: dict[str, Any]) -> None:
    """The text has the name and what differs from its defaults, and nothing else."""
    assert optimizers.canonical(spelling) == '{"class_name":"sgd","config":{"learning_rate":0.25,"momentum":0.5}}'


def test_an_instance_is_spelt_as_its_config() -> None:
    """Keras keeps a learning rate of 0.01 as a float32; the text has the number that was given."""
    tensorflow()
    import keras

    assert optimizers.canonical(keras.optimizers.Adam(0.01)) == optimizers.canonical(CONFIG)


def config(name: str = "adam", **values: Any) -> dict[str, Any]:
    """Return the config of an optimizer."""
    return {"class_name": name, "config": values}


def steps(boundaries: list[int], values: list[float]) -> dict[str, Any]:
    """Return a schedule of steps."""
    return {"class_name": "PiecewiseConstantDecay", "config": {"boundaries": boundaries, "values": values}}


def decay(**values: Any) -> dict[str, Any]:
    """Return a schedule with other values."""
    return {**DECAY, "config": {**DECAY["config"], **values}}


DECAY: dict[str, Any] = {
    "class_name": "ExponentialDecay",
    "config": {"initial_learning_rate": 1, "decay_steps": 100, "decay_rate": 0.5},
}


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"learning_rate": 1}, '{"learning_rate":1.0}'),
        ({"learning_rate": 1.0000000001}, '{"learning_rate":1.0}'),
        ({"learning_rate": 1e-3}, None),
        ({"learning_rate": np.float32(0.1)}, '{"learning_rate":0.1}'),
        ({"clipnorm": 2}, '{"clipnorm":2.0}'),
        ({"amsgrad": np.True_}, '{"amsgrad":true}'),
        ({"clipnorm": None, "weight_decay": None}, None),
        ({"gradient_accumulation_steps": 2.0}, '{"gradient_accumulation_steps":2}'),
        ({"use_ema": True, "ema_overwrite_frequency": 5.0}, '{"ema_overwrite_frequency":5,"use_ema":true}'),
        ({"ema_momentum": 0.99}, None),
        (
            {"learning_rate": {"class_name": "CosineDecay", "config": {"initial_learning_rate": 1, "decay_steps": 9}}},
            '{"learning_rate":{"class_name":"CosineDecay","config":{"alpha":0.0,"decay_steps":9.0,'
            '"initial_learning_rate":1.0,"warmup_steps":0.0},"module":"keras.optimizers.schedules"}}',
        ),
        (
            {"learning_rate": DECAY},
            '{"learning_rate":{"class_name":"ExponentialDecay","config":{"decay_rate":0.5,"decay_steps":100.0,'
            '"initial_learning_rate":1.0,"staircase":false},"module":"keras.optimizers.schedules"}}',
        ),
        (
            {
                "learning_rate": {
                    "module": "keras.optimizers.schedules",
                    "class_name": "ExponentialDecay",
                    "config": {**DECAY["config"], "decay_steps": 1e2, "staircase": False, "name": "mine"},
                    "registered_name": None,
                }
            },
            '{"learning_rate":{"class_name":"ExponentialDecay","config":{"decay_rate":0.5,"decay_steps":100.0,'
            '"initial_learning_rate":1.0,"staircase":false},"module":"keras.optimizers.schedules"}}',
        ),
        (
            {
                "learning_rate": {
                    "class_name": "CosineDecay",
                    "registered_name": "keras.optimizers.schedules>CosineDecay",
                    "config": {"initial_learning_rate": 0, "decay_steps": 9, "warmup_steps": 5, "warmup_target": 1},
                }
            },
            '{"learning_rate":{"class_name":"CosineDecay","config":{"alpha":0.0,"decay_steps":9.0,'
            '"initial_learning_rate":0.0,"warmup_steps":5.0,"warmup_target":1.0},'
            '"module":"keras.optimizers.schedules"}}',
        ),
        (
            {
                "learning_rate": {
                    "class_name": "PiecewiseConstantDecay",
                    "config": {"boundaries": (100, 200.0), "values": [1, 0.1, 0.01]},
                }
            },
            '{"learning_rate":{"class_name":"PiecewiseConstantDecay","config":{"boundaries":[100.0,200.0],'
            '"values":[1.0,0.1,0.01]},"module":"keras.optimizers.schedules"}}',
        ),
    ],
)
def test_what_is_recorded_is_what_is_built(config: dict[str, Any], text: str | None) -> None:
    """A number in any spelling is one number, a schedule has all its values, and the text is a spelling of itself."""
    made = optimizers.canonical({"class_name": "Adam", "config": config})
    assert made == ("adam" if text is None else f'{{"class_name":"adam","config":{text}}}')
    assert optimizers.canonical(made) == made
    assert optimizers.canonical(optimizers.create(made)) == made


@pytest.mark.parametrize(
    "spelling",
    [
        {"class_name": "keras.optimizers>Adam"},
        {"class_name": "keras.optimizers.Adam", "config": None},
        {"class_name": "Adam", "module": "keras.optimizers", "registered_name": "Adam", "config": {}},
        {"class_name": "Adam", "module": "keras.src.optimizers.adam", "registered_name": "keras.optimizers>Adam"},
    ],
)
def test_keras_own_names_are_the_short_one(spelling: dict[str, Any]) -> None:
    """Where Keras says that the class is its own, that is its short name."""
    assert optimizers.canonical(spelling) == "adam"


def test_a_schedule_of_whole_numbers_decays() -> None:
    """Keras would round each rate of a schedule that begins with a whole number to a whole number."""
    made = optimizers.create(optimizers.canonical({"class_name": "sgd", "config": {"learning_rate": DECAY}}))
    assert float(made._learning_rate(50)) == pytest.approx(0.5**0.5)


def test_a_class_is_refused() -> None:
    """It has no config: what to do is to create an optimizer of it."""
    tensorflow()
    import keras

    with pytest.raises(SettingsError, match="got the class Adam. Create it, or give its name."):
        optimizers.canonical(keras.optimizers.Adam)


def test_the_print_mode_of_numpy_does_not_matter() -> None:
    """A learning rate keeps all of its digits."""
    with np.printoptions(legacy="1.13", precision=2):
        assert '"learning_rate":0.012345679' in optimizers.canonical(
            {"class_name": "adam", "config": {"learning_rate": 0.0123456789}}
        )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"class_name": "adam", "learning_rate": 0.1}, "got 'learning_rate'.* Keys of the optimizer go into 'config'"),
        ({"class_name": "SGD", "momentum": 0.9, "config": {"learning_rate": 0.1}}, "got 'momentum'"),
        ({"class_name": "sgd", "config": {"decay": 0.001}}, "config of sgd: expected one of .*, got 'decay'"),
        ({"class_name": "sgd", "config": {"learning_rates": 0.1}}, "Did you mean 'learning_rate'"),
        ({"class_name": "sgd", "config": {f"x{i}": 1 for i in reversed(range(30))}}, "got 'x29'"),
        ({"class_name": "sgd", "config": [0.1]}, r"config of sgd: expected a mapping, got \[0.1\]"),
        ('{"class_name": "sgd", "class_name": "adam"}', "expected each key once, got 'class_name' again"),
        (
            '{"class_name": "sgd", "config": {"momentum": 0.1, "nesterov": true, "momentum": 0.9}}',
            "expected each key once, got 'momentum' again",
        ),
        ({"class_name": "Adam", "config": {"lr": 1}}, "got 'lr'"),
        ({"class_name": "Adam", "config": {"learning_rate": "fast"}}, "expected a config that Keras takes"),
        ({"class_name": "Nothing", "config": {}}, "got 'Nothing'"),
        ({"class_name": "Adam", "config": []}, r"expected a mapping, got \[\]"),
        ({"class_name": "Adam", "module": "mine"}, "module: expected 'keras.optimizers', got 'mine'"),
        (
            {"class_name": "adam", "config": {"learning_rate": {"class_name": "CosineDecay", "module": "mine"}}},
            "module: expected 'keras.optimizers', got 'mine'",
        ),
        ({"class_name": "Adam", "module": "keras_contrib.optimizers"}, "got 'keras_contrib.optimizers'"),
        ({"class_name": "Adam", "registered_name": "SGD"}, "registered_name: expected 'adam', got 'SGD'"),
        (config(learning_rate=True), "learning_rate: expected a finite number, got True"),
        (config(learning_rate=float("nan")), "learning_rate of adam: expected a finite number, got nan"),
        (config(beta_1=True), "beta_1: expected a finite number, got True"),
        (config(beta_1=None), "beta_1: expected a finite number, got None"),
        (config(clipnorm="1"), "clipnorm: expected a finite number, got '1'"),
        (config(amsgrad="no"), "amsgrad: expected true or false, got 'no'"),
        (config(amsgrad=()), r"amsgrad: expected true or false, got \(\)"),
        (config(amsgrad=1), "amsgrad: expected true or false, got 1"),
        (config(clipnorm=-1), "clipnorm -1.0 has no effect unless it is greater than 0"),
        (config(ema_momentum=0.5), "ema_momentum 0.5 has no effect without use_ema. Change it, or leave it out"),
        (config(ema_overwrite_frequency=5), "ema_overwrite_frequency 5 has no effect without use_ema"),
        (
            config(use_ema=True, ema_overwrite_frequency=0),
            "ema_overwrite_frequency 0 has no effect without use_ema and",
        ),
        (
            config(gradient_accumulation_steps=0),
            "gradient_accumulation_steps 0 has no effect unless it is greater than 1",
        ),
        (config("sgd", nesterov=True), "nesterov True has no effect without momentum"),
        (config("muon", exclude_embeddings=False), "has no effect on this network"),
        (
            config(learning_rate={**DECAY, "staircase": True}),
            "got 'staircase'.* Keys of the optimizer go into 'config'",
        ),
        (config(learning_rate=decay(decay_step=5)), "config of ExponentialDecay: .* Did you mean 'decay_steps'"),
        (
            config(learning_rate={"class_name": "Lambda", "config": {}}),
            "or the config of a schedule, got .*Lambda",
        ),
        (
            config(
                learning_rate={
                    "class_name": "CosineDecay",
                    "config": {"initial_learning_rate": 0.1, "decay_steps": 9, "warmup_steps": 5},
                }
            ),
            "warmup_steps of CosineDecay has no effect without warmup_target",
        ),
        (config(learning_rate=object()), "expected what JSON has"),
        (object, "got the class object. Create it, or give its name"),
        (config(gradient_accumulation_steps=2.5), "gradient_accumulation_steps: expected a whole number, got 2.5"),
        (config(learning_rate=decay(decay_rate="x")), "decay_rate: expected a finite number, got 'x'"),
        (config(learning_rate=decay(decay_rate=float("inf"))), "decay_rate of adam: expected a finite number, got inf"),
        (config(learning_rate={"class_name": "CosineDecay"}), "expected a config that Keras takes, .*CosineDecay"),
        (config(learning_rate=steps([], [0.1])), "expected a config that Keras takes, .*Piecewise"),
        (config(learning_rate=steps([5, 1], [1, 2, 3])), "expected one greater than the one before, got .5.0, 1.0"),
        (config(learning_rate=steps([5, 5], [1, 2, 3])), "expected one greater than the one before, got .5.0, 5.0"),
        ({}, "got None"),
        ("{not json", "got bad JSON"),
        (7, "got 7"),
        ({"class_name": "adam", "config": {"learning_rate": np.array([0.1])}}, "expected what JSON has.*ndarray"),
        ({"class_name": "adam", "config": {"learning_rate": abs}}, "expected what JSON has"),
        ({"class_name": "adam", "config": {1: 2}}, "config of adam: expected one of .*, got 1"),
        (None, "got None"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_bad_configs_are_refused(value: Any, message: str) -> None:
    """What is no optimizer's config is refused with what was got."""
    with pytest.raises(SettingsError, match=message):
        optimizers.canonical(value)


def test_a_config_of_many_levels_is_refused_however_deep() -> None:
    """Those of a list in itself have no end, and what can be looked at may still be too deep to be written down."""
    (endless := list[Any]()).append(endless)
    with pytest.raises(SettingsError, match=r"^compile_optimizer: config of adam: expected a few levels of lists"):
        optimizers.canonical(config(learning_rate=endless))
    value: Any = 0.1
    for depth in range(1_000):
        value = [value]
        if depth > 800:
            with pytest.raises(SettingsError, match="^compile_optimizer: "):
                optimizers.canonical(config(learning_rate=value))


KEYS = "class_name, config, module, registered_name, build_config, shared_object_id"
ADAMS = (
    "name, learning_rate, weight_decay, clipnorm, global_clipnorm, clipvalue, use_ema, ema_momentum, "
    "ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, beta_1, beta_2, epsilon, amsgrad"
)
FINITE = "expected a finite number, got"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"class_name": "adam", "learning_rate": 0.1},
            f"expected one of {KEYS}, got 'learning_rate'. Keys of the optimizer go into 'config'.",
        ),
        (config(lr=1), f"config of adam: expected one of {ADAMS}, got 'lr'."),
        (config(beta_1=True), f"config of adam: beta_1: {FINITE} True."),
        (config(clipvalue=3.4e38), f"config of adam: clipvalue: {FINITE} 3.4e+38."),
        (config(clipvalue=-3.4e38), f"config of adam: clipvalue: {FINITE} -3.4e+38."),
        (
            config(learning_rate=decay(decay_rate=3.4e38)),
            f"config of adam: learning_rate: decay_rate: {FINITE} 3.4e+38.",
        ),
        (
            config(learning_rate=decay(decay_rate=-3.4e38)),
            f"config of adam: learning_rate: decay_rate: {FINITE} -3.4e+38.",
        ),
        (
            config(learning_rate=steps(["x"], [1, 2])),  # type: ignore[list-item]
            f"config of adam: learning_rate: boundaries: {FINITE} 'x'.",
        ),
        (config("muon", exclude_layers=5), "config of muon: exclude_layers: expected a list, got 5."),
        (
            config(clipnorm=-1),
            "config of adam: clipnorm -1.0 has no effect unless it is greater than 0. Change it, or leave it out.",
        ),
        (
            config(learning_rate={"class_name": "CosineDecai"}),
            "config of adam: learning_rate: expected a number or the config of a schedule, "
            "got {'class_name': 'CosineDecai'}. Did you mean 'CosineDecay'?",
        ),
        (
            '{"class_name": 1, "config": 2, "config": 3, "class_name": 4}',
            "expected each key once, got 'class_name' again.",
        ),
        (
            '{"class_name": ' + "[" * 50,
            f"expected at most 10000 characters, and 50 lists and mappings, got more: '{{\"class_name\": {'[' * 50}'.",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_refusal_says_all(value: Any, message: str) -> None:
    """Which parameter it is and which key of what, what is expected, what was got, and what to do."""
    with pytest.raises(SettingsError) as caught:
        optimizers.canonical(value)
    assert str(caught.value) == f"compile_optimizer: {message}"


def test_what_keras_says_is_told_in_short() -> None:
    """What it does not take, and why, has 300 characters each."""
    with pytest.raises(SettingsError) as caught:
        optimizers.canonical(config(learning_rate="f" * 400))
    text, error = '{"class_name":"adam","config":{"learning_rate":"' + "f" * 400, str(caught.value.__cause__)
    assert error.startswith("Argument `learning_rate`")
    assert str(caught.value) == (
        "compile_optimizer: expected a config that Keras takes, "
        f"got {text[:300]} ...: {' '.join(error.split())[:300]} ..."
    )


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        (' {"class_name": "adam"}', "adam"),
        (config(beta_1=0.1234567891), '{"class_name":"adam","config":{"beta_1":0.1234567891}}'),
        (
            config("sgd", learning_rate={**DECAY, "class_name": "keras.optimizers.schedules>ExponentialDecay"}),
            optimizers.canonical(config("sgd", learning_rate=DECAY)),
        ),
        (
            config("sgd", learning_rate=decay(initial_learning_rate=np.float32(1), decay_steps=np.int64(100))),
            optimizers.canonical(config("sgd", learning_rate=DECAY)),
        ),
    ],
    ids=["JSON after a space", "no rate is rounded", "a name with its module", "a number of NumPy"],
)
def test_other_spellings_are_taken(spelling: Any, text: str) -> None:
    """Each is one that a person or Keras may write."""
    assert optimizers.canonical(spelling) == text


def rate(value: str) -> str:
    """Return the JSON config of an optimizer with this learning rate."""
    return '{"class_name": "adam", "config": {"learning_rate": ' + value + "}}"


MONSTROUS: dict[str, tuple[Any, str]] = {
    "100,000 levels": ('{"a":' * 100_000, "expected at most 10000 characters, and 50 lists and mappings, got more"),
    "300 levels": (
        rate('{"a":' * 300 + "1" + "}" * 300),
        "expected at most 10000 characters, and 50 lists and mappings",
    ),
    "51 lists and mappings": (rate('{"a":[' * 24 + "1" + "]}" * 24 + "{}"), "lists and mappings, got more"),
    "50 lists and mappings": (
        rate('{"a":[' * 24 + "1" + "]}" * 24),
        "learning_rate: expected one of class_name, config",
    ),
    "49 levels": (rate('{"a":' * 47 + "1" + "}" * 47), "learning_rate: expected one of class_name, config"),
    "10 MB": ("x" * 10**7, "expected the name of a Keras optimizer"),
    "10,001 characters": (f'{{"class_name": "{"x" * 9_983}"}}', "expected at most 10000 characters"),
    "10,000 characters": (f'{{"class_name": "{"x" * 9_982}"}}', "expected the name of a Keras optimizer"),
    "10 MB of JSON": ('{"class_name": "' + "x" * 10**7 + '"}', "expected at most 10000 characters"),
    "a layer of code": (
        rate('{"module": "keras.layers", "class_name": "Lambda", "config": {}}'),
        "expected a number or the config of a schedule, got {'module'",
    ),
    "a layer": (
        rate('{"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}}'),
        "got .*'class_name': 'Dense'",
    ),
    "no class": (rate("{}"), "learning_rate: expected a number or the config of a schedule, got {}"),
    "infinite": (rate("1e999"), "learning_rate of adam: expected a finite number, got inf"),
    "no number": (rate("NaN"), "learning_rate of adam: expected a finite number, got nan"),
    "400 digits": (rate("9" * 400), "learning_rate of adam: expected a finite number, got 999"),
    "400 digits in a schedule": (
        rate('{"class_name": "ExponentialDecay", "config": {"decay_steps": ' + "9" * 400 + "}}"),
        "decay_steps of adam: expected a finite number",
    ),
    "surrogate": ("ad\udc80am", "expected the name of a Keras optimizer"),
}


@pytest.mark.parametrize("name", MONSTROUS)
def test_a_monstrous_config_is_refused_briefly(name: str) -> None:
    """What has too many levels, digits or characters, or stands for code, is refused in a message of a few lines."""
    value, message = MONSTROUS[name]
    with pytest.raises(SettingsError, match=message) as caught:
        optimizers.canonical(value)
    assert len(str(caught.value)) < 800


def test_a_schedule_is_a_learning_rate() -> None:
    """A schedule of Keras' is kept as it was given."""
    decay = {"initial_learning_rate": 0.5, "decay_steps": 100, "decay_rate": 0.5}
    text = optimizers.canonical(
        rate(json.dumps({"module": "keras.optimizers.schedules", "class_name": "ExponentialDecay", "config": decay}))
    )
    assert float(optimizers.create(text).learning_rate) == 0.5


def test_an_optimizer_that_cannot_be_written_down_is_refused() -> None:
    """A rate that a function decides is no text."""
    tensorflow()
    import keras

    with pytest.raises(SettingsError, match="expected one that Keras can write down|expected what JSON has|takes"):
        optimizers.canonical(keras.optimizers.Adam(lambda: 0.1))
