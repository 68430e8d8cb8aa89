import jax
import jax.numpy as jnp
import pytest

from ferjax import networks


def count_parameters(**changed):
    network = networks.create(num_classes=7, **changed)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 48, 48, network.in_channels)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])), shapes


def test_vgg19_has_the_published_parameters():
    total, shapes = count_parameters(name="vgg19")
    head = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]["head"]))
    assert (total - head, head) == (20_024_384, 3_591)


# torchvision's counts of `features`, whose batch norm has two parameters per channel.
@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("vgg11", 9_220_480),
        ("vgg13", 9_404_992),
        ("vgg16", 14_714_688),
        ("vgg11_bn", 9_225_984),
        ("vgg19_bn", 20_035_392),
    ],
)
def test_other_vggs_have_the_published_parameters(name, features):
    assert count_parameters(name=name)[0] == features + 3_591


def test_head_sizes_follow_the_config():
    assert count_parameters(name="vgg11", pool="both")[0] == 9_220_480 + 1024 * 7 + 7
    assert count_parameters(name="vgg11", hidden=(10,))[0] == 9_220_480 + 513 * 10 + 11 * 7
    assert count_parameters(name="vgg11", width=0.5)[0] < 9_220_480 / 3


def test_images_below_32_pixels_are_refused():
    with pytest.raises(ValueError, match="32x32 pixels; these have 48x31"):
        jax.eval_shape(networks.create(name="vgg11", num_classes=7).init, jax.random.key(0), jnp.zeros((1, 48, 31, 3)))
