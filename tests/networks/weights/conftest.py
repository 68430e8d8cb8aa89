import pytest
from published_networks import draw_torch_network


@pytest.fixture(scope="session")
def vgg11_file(tmp_path_factory):
    """A .safetensors file of vgg11 in torchvision's layout."""
    import safetensors.torch

    path = tmp_path_factory.mktemp("vgg11") / "vgg11.safetensors"
    safetensors.torch.save_file(draw_torch_network("vgg11").state_dict(), path)
    return path
