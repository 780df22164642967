"""Another network than the tutorial's: created the same each time, and refused where its training would be another.

Only steps that train such a network carry this: `bundle.imported_by` adds it.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fmnist.steps import model
from fmnist.steps.dataset import Split
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import ContractError
from fmnist.steps.messages import excerpt

__all__ = ["check", "check_program", "created", "is_by_image", "uncompiled"]

#: What makes probabilities of logits, of which the loss would take the softmax again.
_PROBABILITIES = ("softmax", "sigmoid", "Softmax", "Sigmoid")

#: What a network may have instead of its class'.
_METHODS = ("train_step", "test_step", "compute_loss")

#: Operations that draw numbers from a state that nobody can set, so that each run draws others.
_RANDOM = re.compile(r"Random|(Parameterized)?TruncatedNormal|Multinomial|Stateful(?!Partitioned)|Rng")


def created(create: Callable[[int], Any], data: Split, seed: int) -> Any:
    """Return the network that `create` makes for `seed`, built for the images of `data`.

    Keras gives a layer without a seed one from Python's generator, which starts from `seed` here. Its import draws
    from there too, and comes before.
    """
    tensorflow()
    state = random.getstate()
    random.seed(seed)
    try:
        network = create(seed)
        kind = type(network)
        if kind.__name__ not in {"Sequential", "Functional"} or not kind.__module__.startswith("keras."):
            raise _refused("a keras.Sequential or a functional keras.Model", f"a {kind.__name__}")
        if not network.built:
            network.build((None, *data.images.shape[1:]))
    finally:
        random.setstate(state)
    return network


def is_by_image(network: Any) -> bool:
    """Return whether each image is by itself in a batch, so that a batch may be filled up with one that does not count.

    Of other networks a batch has its own size, because Keras may give a batch another one in ways that nobody can list.
    """
    tensorflow()
    from keras import activations, layers

    return all(
        type(layer) in {layers.InputLayer, layers.Flatten, layers.Dense}
        and layer.activity_regularizer is None
        and getattr(layer, "activation", activations.linear).__module__.startswith("keras.")
        for layer in network.layers
    )


def check(network: Any, again: Any, data: Split) -> None:
    """Refuse a network that would not be trained as Keras' own `fit` does it, or that is another one each time.

    Parameters
    ----------
    network, again : keras.Model
        Two of one seed.
    data : Split
        What it shall be trained on.

    Raises
    ------
    ContractError
        If it is such a network: what of it was expected, and got, and what to do.
    """
    if network.compiled:
        raise _refused("an uncompiled one", "a loss and an optimizer, which would be ignored. Do not compile it")
    model.check_fits(network, data)
    for sentence in _odd(network):
        raise _refused(*sentence)
    if shared := _shared(network, again):
        raise _refused("new layers each time", f"{shared[0]!r} of the time before. Make it within the function")
    pairs = zip(network.variables, again.variables, strict=False)
    for variable in (one for one, other in pairs if not np.array_equal(one, other)):
        raise _refused("equal weights each time", f"others in {variable.path}. Derive them from the seed alone")
    images = model.scale(data.images[:2])
    for training in (True, False):
        _check_loss(network, images, training=training)
    _check_file(network, again, images)


def _odd(network: Any) -> Iterator[tuple[str, str]]:
    """Give for each part that would be trained otherwise, or silently left out, what was expected and got."""
    last = _last(network)
    if getattr(getattr(last, "activation", last), "__name__", type(last).__name__) in _PROBABILITIES:
        yield "logits", f"probabilities from layer {last.name!r}. Leave its activation out"
    if (dtype := network.inputs[0].dtype) != "float32":
        yield "an input of float32", f"{dtype}"
    if not network.trainable_variables:
        yield "something to train", "no trainable variable"
    for layer in network._flatten_layers():  # noqa: SLF001 - the public `layers` has no nested ones
        if layer.dtype_policy.name != "float32":
            yield "float32 in each layer", f"{layer.dtype_policy.name} in {layer.name!r}"
    for name in (one for one in _METHODS if one in vars(network)):
        yield "a network that is trained by its loss", f"its own {name}, which would be ignored. Leave it out"
    for metric in network.metrics:
        yield "no metric of its own, which would be left out", f"{metric.name!r}"


def _shared(network: Any, again: Any) -> list[str]:
    """Return the layers of both networks, by name, that a training changes: not weights that are frozen or adapted."""
    from keras.layers import Normalization

    layers = list(network._flatten_layers(include_self=False))  # noqa: SLF001 - the public `layers` has no nested ones
    kept = [layer.weights for layer in layers if not layer.trainable or isinstance(layer, Normalization)]
    others = {id(variable) for variable in again.variables} - {id(weight) for weights in kept for weight in weights}
    return [layer.name for layer in layers if any(id(variable) in others for variable in layer.variables)]


def _last(network: Any) -> Any:
    """Return the layer or operation that gives the logits."""
    last = network
    while getattr(last, "outputs", None):
        last = last.outputs[0]._keras_history.operation  # noqa: SLF001 - there is no other way to know
    return last


def _check_file(network: Any, again: Any, images: Any) -> None:
    """Refuse a network that is not in its file as it is, before hours are spent on it."""
    content = model.to_bytes(network)
    if model.to_bytes(again) != content:
        raise _refused("the same file each time", "another. Derive all of it from the seed alone")
    loaded = model.from_bytes(content, network.input_shape[1:], network.output_shape[1])
    if not np.array_equal(loaded(images, training=False), network(images, training=False)):
        raise _refused(
            "a file that answers as it does", "other logits. Let get_config of its layers return all they are"
        )


def _check_loss(network: Any, images: Any, *, training: bool) -> None:
    """Refuse logits for which Keras' loss would not depend on their values alone, which shows in a graph only."""
    last = _last(network).name

    @tensorflow().function(autograph=False)  # type: ignore[untyped-decorator]
    def trace() -> None:
        logits = network(images, training=training)
        if not hasattr(logits, "op"):
            got = f"a {type(logits).__name__}. Let layer {last!r} be the only output, without a name"
            raise _refused("one array of logits", got)
        if getattr(logits, "_keras_mask", None) is not None:
            raise _refused(
                "logits without a mask, by which Keras' loss leaves images out",
                f"one from layer {last!r}. Let no mask reach it",
            )
        if hasattr(logits, "_keras_logits") or logits.op.type == "Softmax":
            raise _refused("logits", f"probabilities from layer {last!r}. Leave the softmax before it out")

    trace.get_concrete_function()


def check_program(program: Any, variables: Iterable[Any]) -> None:
    """Refuse a traced program that depends on more than its arguments and `variables`."""
    own = {id(variable.value) for variable in variables}
    for variable in program.graph.variables:
        if id(variable) not in own:
            raise _refused("no state but that of its layers", f"the variable {variable.name!r}")
    graph = program.graph.as_graph_def()
    for node in (*graph.node, *(node for function in graph.library.function for node in function.node_def)):
        if _RANDOM.match(node.op):
            raise _refused("random numbers from a keras.random.SeedGenerator of a layer", f"others in {node.name!r}")


def uncompiled(error: Exception) -> ContractError:
    """Return what XLA says of an operation that it does not compile, with the place, which has the layer's name."""
    said = str(error).partition("The op is created at")[0].rstrip(". ")
    return _refused("operations that XLA compiles", excerpt(said, 500))


def _refused(expected: str, got: str) -> ContractError:
    return ContractError(f"network: expected {expected}, got {got}.")
