"""Models that Keras makes and saves, converted without Keras, answer the same: to 1e-4 of the largest number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras import layers

from heliograph.adapters.engines.onnxruntime import open_session
from heliograph.adapters.models.keras_reader import INPUT, Converted, convert

# Keras and TensorFlow use what NumPy and Python are about to drop.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

Array = npt.NDArray[Any]
TOLERANCE = 1e-4
FREE_SIDE = 32


def settle(model: keras.Model) -> keras.Model:
    """The model with weights that are not those of its start, so that a normalisation does something."""
    chance = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(chance.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("moving_mean", "beta", "bias")):
            weight.assign(chance.normal(0, 0.1, weight.shape))
    return model


def picture_for(model: keras.Model) -> Array:
    shape = [2, *(length or FREE_SIDE for length in model.input_shape[1:])]
    return np.random.default_rng(1).uniform(0, 255, shape).astype(np.float32)


def answers(made: Converted, pictures: Array) -> list[Array]:
    """What ONNX Runtime answers, with the channels last as Keras has them."""
    given = pictures.transpose(0, 3, 1, 2) if pictures.ndim == 4 else pictures[:, None]
    session = open_session(made.data)
    found = session.run(None, {INPUT: given})
    return [row.transpose(0, 2, 3, 1) if row.ndim == 4 else row for row in found]


def check(model: keras.Model, path: Path, *, scale: float = 1.0) -> Converted:
    model.save(path)
    made = convert(path)
    pictures = picture_for(model) * np.float32(scale)
    # `predict` would trace the whole network first, for one answer.
    wanted = [np.asarray(output) for output in keras.tree.flatten(model(pictures, training=False))]
    for want, got in zip(wanted, answers(made, pictures), strict=True):
        assert want.shape == got.shape
        assert np.abs(want - got).max() <= TOLERANCE * max(1.0, float(np.abs(want).max()))
    return made


APPLICATIONS: dict[str, int] = {
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "ResNet50V2": 32,
    "DenseNet121": 32,
    "NASNetMobile": 32,
    "ConvNeXtTiny": 32,
}
"""With the side of the pictures; the larger ones were tried by hand."""


@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications_of_keras(name: str, tmp_path: Path) -> None:
    side = APPLICATIONS[name]
    build = getattr(keras.applications, name)
    model = settle(build(weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3)))
    check(model, tmp_path / "model.keras", scale=1 / 255)
    if name in ("MobileNetV2", "EfficientNetB0", "MobileNetV3Small"):
        check(model, tmp_path / "model.h5", scale=1 / 255)


def stack(shape: tuple[int | None, ...], *parts: keras.Layer) -> keras.Model:
    return settle(keras.Sequential([layers.Input(shape), layers.Rescaling(1 / 255), *parts]))


def convolutions() -> keras.Model:
    return stack(
        (15, 16, 3),
        layers.Conv2D(4, (3, 5), strides=(2, 1), padding="same"),
        layers.Conv2D(8, 3, dilation_rate=2, padding="same", groups=2, activation="relu6"),
        layers.SeparableConv2D(6, 3, depth_multiplier=2, activation="swish"),
        layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, padding="same", use_bias=False),
        layers.BatchNormalization(scale=False),
        layers.LayerNormalization(),
        layers.PReLU(shared_axes=[1, 2]),
        layers.AveragePooling2D(3, strides=2, padding="same"),
        layers.MaxPooling2D(2, padding="same"),
        layers.Flatten(),
        layers.Dense(3),
        layers.Softmax(),
    )


def scaling() -> keras.Model:
    return stack(
        (15, 16, 3),
        layers.Conv2D(4, 3),
        layers.UpSampling2D(3, interpolation="bilinear"),
        layers.UpSampling2D((2, 1)),
        layers.Resizing(20, 11),
        layers.Resizing(31, 7, interpolation="nearest"),
    )


def any_size() -> keras.Model:
    return stack(
        (None, None, 3),
        layers.Conv2D(4, 3, strides=2, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(6.0),
        layers.Conv2D(4, 3, strides=2, padding="same"),
        layers.UpSampling2D(4, interpolation="bilinear"),
        layers.MaxPooling2D(3, 2, padding="same"),
        layers.Resizing(9, 9),
        layers.Conv2D(1, 1, activation="sigmoid"),
    )


def activations() -> keras.Model:
    names = "relu elu selu softplus softsign tanh gelu silu mish hard_sigmoid hard_silu leaky_relu log_softmax sigmoid"
    parts = [part for name in names.split() for part in (layers.Conv2D(3, 1), layers.Activation(name))]
    last = [layers.Conv2D(3, 1), layers.LeakyReLU(0.17), layers.ELU(0.7), layers.ReLU(negative_slope=0.2)]
    return stack((6, 6, 3), *parts, *last, layers.Activation("softmax"))


def cutting() -> keras.Model:
    return stack(
        (13, 12, 3),
        layers.Conv2D(3, 1),
        layers.ZeroPadding2D(((1, 2), (3, 0))),
        layers.Conv2D(3, 3, strides=2),
        layers.Cropping2D(((1, 0), (0, 2))),
        layers.CenterCrop(3, 3),
        layers.RandomFlip(),
        layers.GaussianNoise(1.0),
        layers.SpatialDropout2D(0.2),
        layers.Permute((2, 1, 3)),
        layers.Reshape((9, 3)),
        layers.Dense(5),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    )


def digits() -> keras.Model:
    return stack((28, 28), layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dense(10))


def transposed() -> keras.Model:
    parts = [
        layers.Conv2DTranspose(4, kernel, strides=stride, padding=padding)
        for kernel, stride in ((2, 2), (3, 2), (4, 2), (5, 1), (2, 3))
        for padding in ("same", "valid")
    ]
    picture = keras.Input((4, 5, 3))
    scaled = layers.Rescaling(1 / 255)(picture)
    return settle(keras.Model(picture, [part(scaled) for part in parts]))


def joining() -> keras.Model:
    picture = keras.Input((8, 8, 3))
    scaled = layers.Rescaling(1 / 255)(picture)
    one = layers.Conv2D(4, 3, padding="same")(scaled)
    two, three = layers.Conv2D(4, 1)(scaled), layers.Conv2D(1, 1)(scaled)
    joined = layers.Concatenate()(
        [
            layers.Average()([one, two]),
            layers.Maximum()([one, two]),
            layers.Minimum()([one, two, three]),
            layers.Subtract()([one, two]),
            layers.Multiply()([one, three]),
        ]
    )
    gate = layers.Reshape((1, 1, 20))(layers.Dense(20)(layers.GlobalMaxPooling2D()(joined)))
    gated = layers.Multiply()([joined, gate])
    weighed = layers.Multiply()([joined, layers.GlobalAveragePooling2D()(joined)])
    return settle(
        keras.Model(picture, [layers.Concatenate(axis=1)([gated, weighed]), layers.Flatten()(gated)])
    )


def nested_and_shared() -> keras.Model:
    picture = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 3, padding="same", activation="relu")
    x = layers.BatchNormalization()(shared(layers.Rescaling(1 / 255)(picture)))
    x = layers.BatchNormalization()(shared(x))
    inside = keras.Input((8, 8, 3))
    two = keras.Model(inside, [layers.Conv2D(3, 1)(inside), layers.BatchNormalization()(inside)], name="two")
    first, second = two(x)
    first, second = two(second)
    core = keras.Sequential([layers.Input((8, 8, 3)), layers.Conv2D(3, 1), layers.BatchNormalization()])
    deep = keras.Sequential([layers.Input((8, 8, 3)), core, layers.Conv2D(2, 3)])
    deep.trainable = False
    return settle(keras.Model(picture, [deep(first), second, two(first)[0]]))


def operations() -> keras.Model:
    ops = keras.ops
    picture = keras.Input((8, 8, 3))
    x = ops.mean(picture / 255.0, axis=[1, 2], keepdims=True)
    x = 2.0 * ops.clip(ops.reshape(x, (-1, 1, 1, 3)), 0.0, 6.0) - picture / 127.5
    x = ops.concatenate([ops.transpose(x, (0, 2, 1, 3)), picture / 255.0], axis=-1)
    x = ops.hard_sigmoid(x * np.array([1, 2, 3, 1, 2, 3], np.float32))
    x = 3.0 - x / (1.0 + ops.max(x, axis=-1, keepdims=True))
    x = ops.mean(ops.image.resize(x, (16, 16)), axis=-1, keepdims=True)
    x = ops.expand_dims(ops.squeeze(ops.softmax(x, axis=1), -1), -1)
    x = ops.pad(x[:, 2:, :4], [[0, 0], [1, 1], [0, 0], [0, 0]]) ** 2
    return keras.Model(picture, ops.sum(ops.leaky_relu(x[:, 1:4], 0.3), axis=(1, 2)))


MODELS: tuple[Callable[[], keras.Model], ...] = (
    convolutions,
    scaling,
    any_size,
    activations,
    cutting,
    digits,
    transposed,
    joining,
    nested_and_shared,
    operations,
)


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_layers(build: Callable[[], keras.Model], ending: str, tmp_path: Path) -> None:
    check(build(), tmp_path / f"model.{ending}")


def test_preprocessing_and_families_are_seen(tmp_path: Path) -> None:
    assert [step.kind for step in check(digits(), tmp_path / "digits.keras").preprocessing] == ["Rescaling"]
    encoder = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35
    )
    picture = keras.Input((32, 32, 3))
    flipped = layers.RandomFlip()(picture)
    model = keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(encoder(flipped))))
    made = check(settle(model), tmp_path / "own.keras", scale=1 / 255)
    assert made.preprocessing == ()
    assert any("mobilenetv2" in family for family in made.families)


@pytest.fixture(autouse=True)
def fresh_session() -> Iterator[None]:
    """Names of layers begin from one, and what was built is freed."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    yield
    keras.utils.clear_session()
