"""One training of TensorFlow's tutorial "Basic classification", which counts the orders of its epochs.

As in `tutorial.py` the code is the tutorial's; the variant "seeded" calls `keras.utils.set_random_seed` before it, as
people do who want to repeat a training, and "unseeded" does not. Prints the result as JSON.
"""

import json
import sys
import time

import keras
import tensorflow as tf

from fmnist.orders import EpochOrders
from fmnist.steps import dataset

variant, seed, epochs, validation_split = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
train, test = dataset.load("train"), dataset.load("test")
train_images, train_labels = train.images / 255.0, train.labels
test_images, test_labels = test.images / 255.0, test.labels

started = time.perf_counter()
if variant == "seeded":
    keras.utils.set_random_seed(seed)
model = tf.keras.Sequential(
    [
        tf.keras.Input((28, 28)),
        tf.keras.layers.Flatten(),
        tf.keras.layers.Dense(128, activation="relu"),
        tf.keras.layers.Dense(10),
    ]
)
model.compile(
    optimizer="adam",
    loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
orders = EpochOrders(strict=False)
model.fit(train_images, train_labels, epochs=epochs, validation_split=validation_split, callbacks=[orders], verbose=0)
test_loss, test_accuracy = model.evaluate(test_images, test_labels, verbose=0)

print(  # noqa: T201 - the result
    json.dumps(
        {
            "accuracy": round(test_accuracy, 6),
            "epochs": epochs,
            "orders": len(set(orders.fingerprints)),
            "seconds": round(time.perf_counter() - started, 2),
        }
    )
)
