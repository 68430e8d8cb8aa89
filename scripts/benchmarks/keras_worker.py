"""Keras on TensorFlow or on JAX, as KERAS_BACKEND says: keras.applications' VGG19, a dense layer, Adam."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import Model, Sequential, applications, backend, layers, losses, ops, optimizers

from scripts.benchmarks import faces
from scripts.benchmarks.faces import Images
from scripts.benchmarks.protocol import Step, Wait


def create(form: str, task: str, batch: int, data: str, threads: int) -> tuple[Step, Wait]:
    """Make a step of 'train', on a batch in memory, of 'pipeline', from the input pipeline, or of 'inference'."""
    on_tensorflow = backend.backend() == "tensorflow"
    if on_tensorflow:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    network = _create_network()
    if task == "inference":
        images = faces.load_batch(data, batch)[0]
        return _infer_on_tensorflow(network, images) if on_tensorflow else _infer_on_jax(network, images)
    # On JAX without TensorFlow the augmenting layers belong into the model; tf.data runs them beside it.
    inside = task == "pipeline" and not on_tensorflow
    model = Sequential([_create_augmentation(), network]) if inside else network
    # Keras's default, "auto", compiles by XLA; the form 'plain' is TensorFlow's own kernels.
    compiled = False if form == "plain" else "auto"
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.Adam(1e-4), loss, jit_compile=compiled)
    if task == "train":
        images, labels = faces.load_batch(data, batch)
        if on_tensorflow:
            images, labels = tf.constant(images), tf.constant(labels)
        return lambda: model.train_on_batch(images, labels), float
    batches = _read_on_tensorflow(data, batch) if on_tensorflow else _read_on_host(data, batch)
    return lambda: model.train_on_batch(*next(batches)), float


def _create_network() -> Model:
    base = applications.VGG19(
        include_top=False, weights=None, input_shape=(faces.SIDE_PX, faces.SIDE_PX, 3), pooling="max"
    )
    return Model(base.input, layers.Dense(faces.CLASSES)(base.output))


def _create_augmentation() -> Sequential:
    """Make layers from gray levels 0..255 [b, 48, 48, 1] to augmented float32 [b, 48, 48, 3] in 0..1."""
    return Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(15 / 360, fill_mode="nearest"),
            layers.RandomTranslation(0.15, 0.15, fill_mode="nearest"),
            layers.RandomZoom((-0.15, 0.15), (-0.15, 0.15), fill_mode="nearest"),
            layers.Rescaling(1 / 255),
            layers.Lambda(lambda gray: ops.repeat(gray, 3, axis=-1), output_shape=(faces.SIDE_PX, faces.SIDE_PX, 3)),
        ]
    )


def _read_on_tensorflow(data: str, batch: int) -> Iterator[Any]:
    import tensorflow as tf

    pixels, labels = faces.load(data)
    augment = _create_augmentation()
    rows = tf.data.Dataset.from_tensor_slices((pixels[..., None], labels)).cache()
    batches = rows.shuffle(len(labels)).batch(batch, drop_remainder=True).repeat()
    together = batches.map(lambda x, y: (augment(tf.cast(x, tf.float32), training=True), y), tf.data.AUTOTUNE)
    return iter(together.prefetch(tf.data.AUTOTUNE))


def _read_on_host(data: str, batch: int) -> Iterator[Any]:
    pixels, labels = faces.load(data)
    random = np.random.default_rng(0)
    while True:
        order = random.permutation(len(labels))
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start : start + batch]
            yield pixels[rows, :, :, None].astype(np.float32), labels[rows]


def _infer_on_tensorflow(network: Model, images: Images) -> tuple[Step, Wait]:
    import tensorflow as tf

    predict = tf.function(lambda x: network(x, training=False))
    resident = tf.constant(images)
    return lambda: predict(resident), lambda result: result.numpy()


def _infer_on_jax(network: Model, images: Images) -> tuple[Step, Wait]:
    import jax

    variables = [v.value for v in network.trainable_variables], [v.value for v in network.non_trainable_variables]
    predict = jax.jit(lambda trained, other, x: network.stateless_call(trained, other, x, training=False)[0])
    resident = jax.device_put(images)
    return lambda: predict(*variables, resident), jax.block_until_ready
