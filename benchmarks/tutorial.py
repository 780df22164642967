"""TensorFlow's tutorial "Basic classification", as one script: the reference that speed is measured against.

The code is the tutorial's (https://www.tensorflow.org/tutorials/keras/classification), with three differences: the
data is read from fmnist's cache instead of being downloaded, a share of it is held out for validation, as in the
pipeline, and no progress bars are drawn, which would take longer. It runs as people run it, on all cores, without any
switch of fmnist's. Prints seconds as JSON.
"""

import json
import sys
import time

started = time.perf_counter()

import matplotlib.pyplot as plt  # noqa: E402, F401 - the tutorial imports it first
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from fmnist.steps import dataset  # noqa: E402

epochs, validation_split = int(sys.argv[1]), float(sys.argv[2])
train, test = dataset.load("train"), dataset.load("test")
train_images, train_labels = train.images / 255.0, train.labels
test_images, test_labels = test.images / 255.0, test.labels

model = tf.keras.Sequential(
    [
        tf.keras.Input((28, 28)),
        tf.keras.layers.Flatten(),
        tf.keras.layers.Dense(128, activation="relu"),
        tf.keras.layers.Dense(10),
    ]
)
before_fit = time.perf_counter()
model.compile(
    optimizer="adam",
    loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_images, train_labels, epochs=epochs, validation_split=validation_split, verbose=2)
after_fit = time.perf_counter()

test_loss, test_accuracy = model.evaluate(test_images, test_labels, verbose=2)
probability_model = tf.keras.Sequential([model, tf.keras.layers.Softmax()])
predictions = np.argmax(probability_model.predict(test_images, verbose=2), axis=1)

print(  # noqa: T201 - the result
    json.dumps(
        {
            "fit": after_fit - before_fit,
            "until_fit": after_fit - started,
            "script": time.perf_counter() - started,
            "accuracy": float(np.mean(predictions == test_labels)),
        }
    )
)
