import flax.linen as nn
import jax
import pytest

from ferjax import networks
from ferjax.training import flops

# Sides and channels of VGG19's convolutions at 48 px, by hand.
VGG19 = (
    *((48, 3, 64), (48, 64, 64)),
    *((24, 64, 128), (24, 128, 128)),
    *((12, 128, 256), *3 * ((12, 256, 256),)),
    *((6, 256, 512), *3 * ((6, 512, 512),)),
    *4 * ((3, 512, 512),),
)
CONVOLUTIONS = [2 * 9 * side * side * channels * features for side, channels, features in VGG19]
DENSE = 2 * 512 * 7
RGB = (48, 48, 3)


def create(name):
    return networks.create(name=name, num_classes=7)


def test_vgg19_counts_as_by_hand():
    model = create("vgg19")
    assert flops.count_forward(model, RGB) == sum(CONVOLUTIONS) + DENSE
    assert flops.count_step(model, RGB) == 3 * flops.count_forward(model, RGB)
    assert list(flops.count_layers(model, RGB).values()) == [*CONVOLUTIONS, DENSE]


def test_batch_norm_and_space_to_depth_count_nothing():
    assert flops.count_forward(create("vgg19_bn"), RGB) == sum(CONVOLUTIONS) + DENSE
    layers = flops.count_layers(create("compact"), (48, 48, 1))
    assert layers["block1_conv1"] == 2 * 9 * 24 * 24 * 4 * 64
    assert layers["head/output"] == DENSE
    assert len(layers) == 8


def test_any_size_counts_its_own_positions():
    model = create("vgg19")
    assert flops.count_layers(model, (96, 48, 3))["block2_conv1"] == 2 * CONVOLUTIONS[2]
    assert flops.count_layers(create("compact"), (33, 64, 3))["block1_conv1"] == 2 * 9 * 16 * 32 * 12 * 64


class Twice(nn.Module):
    """A layer that is called twice costs twice."""

    @nn.compact
    def __call__(self, x):
        layer = nn.Conv(3, (3, 3), name="shared")
        return layer(layer(x))


def test_a_shared_layer_counts_each_call():
    assert flops.count_layers(Twice(), (4, 5, 3)) == {"shared": 2 * 2 * 9 * 3 * 3 * 20}


def test_frozen_layers_save_their_gradients():
    model = create("vgg19")
    forward = flops.count_forward(model, RGB)
    below = frozenset({"block1_conv1", "block1_conv2"})
    assert flops.count_step(model, RGB, below) == 3 * forward - 2 * sum(CONVOLUTIONS[:2])
    # The head lies above what trains, so the gradient still passes through it.
    assert flops.count_step(model, RGB, frozenset({"head/output"})) == 3 * forward - DENSE


@pytest.mark.parametrize(
    ("kind", "dtype", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.4),
        ("NVIDIA H100 80GB HBM3", "float32", 494.7),
        ("NVIDIA H100 PCIe", "bfloat16", 756.0),
        ("NVIDIA A100-SXM4-40GB", "float32", 156.0),
        ("NVIDIA A10", "bfloat16", 125.0),
        ("NVIDIA L4", "bfloat16", 121.0),
        ("NVIDIA L40S", "bfloat16", 362.0),
        ("NVIDIA GH200 480GB", "bfloat16", 989.4),
        ("NVIDIA GB200", "float32", 1250.0),
        ("NVIDIA B300", "bfloat16", 2250.0),
        ("NVIDIA GeForce RTX 5090", "bfloat16", 209.5),
        ("TPU7x", "bfloat16", 2307.0),
        ("TPU v5 lite", "bfloat16", 197.0),
        ("TPU v5", "float32", 459.0),
    ],
)
def test_peak_of_a_known_device(kind, dtype, teraflops):
    assert flops.look_up(kind, dtype).flops_per_s == pytest.approx(1e12 * teraflops)


def test_full_float32_has_a_peak_of_its_own():
    assert flops.look_up("NVIDIA H200", "float32", "highest").flops_per_s == pytest.approx(67e12)
    assert flops.look_up("NVIDIA H200", "bfloat16", "highest") == flops.look_up("NVIDIA H200", "bfloat16")
    assert flops.look_up("Tesla T4", "float32", "highest") == flops.look_up("Tesla T4", "float32")
    assert flops.look_up("TPU v5 lite", "float32", "highest").flops_per_s is None


@pytest.mark.parametrize(
    "kind",
    [
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GH200 480GB MIG 1g.12gb",
        "abacus",
    ],
)
def test_no_peak_is_guessed(kind):
    peak = flops.look_up(kind, "float32")
    assert peak.flops_per_s is None
    assert kind in peak.source
    assert flops.find_utilization(10, 1.0, peak, 1) is None


def test_dtypes_without_units():
    assert flops.look_up("Tesla T4", "bfloat16").flops_per_s is None
    assert flops.look_up("Tesla T4", "float32").flops_per_s == pytest.approx(8.1e12)
    with pytest.raises(ValueError, match="float16"):
        flops.look_up("Tesla T4", "float16")


def test_virtual_devices_share_the_cpu(monkeypatch):
    monkeypatch.setattr(flops, "_measure_product", lambda: 8e9)
    peak = flops.find_peak("float32")
    assert peak.flops_per_s == 8e9 / jax.local_device_count()
    assert flops.find_utilization(1_000_000, 800.0, peak, jax.local_device_count()) == pytest.approx(0.1)


def test_product_is_measured(monkeypatch):
    monkeypatch.setattr(flops, "_PRODUCT_SIDE", 64)
    assert flops._measure_product() > 0
