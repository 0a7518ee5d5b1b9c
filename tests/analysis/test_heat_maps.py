"""Grad-CAM: equal to what can be computed by hand, at work on every kind of network, and right where the cause is
known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_samples import SMALL
from torch import nn

from baselines import FixedNetwork, network_names
from nas.analysis.heat_maps import grad_cam_maps, map_layer
from nas.errors import UsageError
from search_spaces import get_space


class Plain(nn.Module):
    """Convolution, ReLU, mean over places, linear: here Grad-CAM is CAM (Selvaraju et al. 2017, section 3.1)."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3, padding=1)
        self.last = nn.Linear(5, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.maps(x).mean(dim=(2, 3)))

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def test_on_a_plain_network_it_is_the_class_activation_map() -> None:
    torch.manual_seed(0)
    model, images = Plain().double(), torch.randn(20, 2, 7, 6, dtype=torch.float64)
    classes = torch.arange(20) % 3
    with torch.no_grad():
        cam = torch.einsum("nk,nkhw->nhw", model.last.weight[classes], model.maps(images)).relu()
    expected = (cam / cam.amax(dim=(1, 2), keepdim=True)).numpy()
    found = grad_cam_maps(model, images, classes)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(grad_cam_maps(model, images.numpy(), classes.tolist(), "conv"), found, atol=0)


def test_a_smaller_map_is_enlarged_to_the_image() -> None:
    torch.manual_seed(1)
    model, images = Plain().double(), torch.randn(4, 2, 8, 8, dtype=torch.float64)
    model.conv = nn.Conv2d(2, 5, 2, stride=2).double()
    classes = model(images).argmax(1)
    cam = torch.einsum("nk,nkhw->nhw", model.last.weight[classes], model.maps(images)).relu()
    large = F.interpolate(cam[:, None], size=(8, 8), mode="bilinear")[:, 0]
    expected = (large / large.amax(dim=(1, 2), keepdim=True)).detach().numpy()
    np.testing.assert_allclose(grad_cam_maps(model, images), expected, atol=1e-12)  # for the predicted class


def test_the_model_is_left_as_it_was() -> None:
    model = Plain().requires_grad_(False).train()
    assert grad_cam_maps(model, torch.randn(2, 2, 6, 6)).shape == (2, 6, 6)  # whatever is frozen
    assert model.training and not model.conv._forward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", [*SMALL, *(name for name in network_names() if name.startswith("model"))])
def test_every_kind_of_network_has_a_map(name: str) -> None:
    torch.manual_seed(0)
    shape = (1, 28, 28)
    if name in SMALL:
        model = get_space(name).build(SMALL[name], shape, 4)
    else:
        model = FixedNetwork(name, {}).construction(shape, 4).build()
    images = torch.randn(3, *shape)
    layer = map_layer(model, images)
    assert layer is not None
    seen: list[torch.Tensor] = []
    handle = dict(model.named_modules())[layer].register_forward_hook(lambda _, inputs, output: seen.append(output))
    with torch.no_grad():
        model(images)
    handle.remove()
    assert seen[0].shape[2] * seen[0].shape[3] > 1
    maps = grad_cam_maps(model, images)
    assert maps.shape == (3, 28, 28) and np.isfinite(maps).all()
    tops = maps.max(axis=(1, 2))
    assert maps.min() >= 0 and set(tops.round(6)) <= {0.0, 1.0} and tops.any()


def test_what_branches_add_up_to_is_weighed_and_not_one_of_them() -> None:
    class Branched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.ModuleDict({"one": nn.Conv2d(1, 2, 1), "two": nn.Conv2d(1, 2, 1)})
            self.both = Sum(self.block["one"], self.block["two"])
            self.last = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.both(x).mean(dim=(2, 3)))

    class Sum(nn.Module):
        def __init__(self, one: nn.Module, two: nn.Module) -> None:
            super().__init__()
            self.one, self.two = one, two

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.one(x) + self.two(x)

    assert map_layer(Branched(), torch.randn(1, 1, 4, 4)) == "both"


def test_where_there_is_no_map_it_says_so() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    assert map_layer(flat, torch.randn(1, 1, 4, 4)) is None
    with pytest.raises(UsageError, match="cannot locate anything in the image"):
        grad_cam_maps(flat, torch.randn(1, 1, 4, 4))
    with pytest.raises(UsageError, match=r"no layer 'cone'. Did you mean 'conv'\?"):
        grad_cam_maps(Plain(), torch.randn(1, 2, 4, 4), layer="cone")
    with pytest.raises(UsageError, match="'last' gives no feature map"):
        grad_cam_maps(Plain(), torch.randn(1, 2, 4, 4), layer="last")
    with pytest.raises(UsageError, match="a class for each of the 2 images"):
        grad_cam_maps(Plain(), torch.randn(2, 2, 4, 4), [1])
    with pytest.raises(UsageError, match="from 0 to 2"):
        grad_cam_maps(Plain(), torch.randn(2, 2, 4, 4), [1, 3])
    with pytest.raises(UsageError, match=r"\(N, C, H, W\)"):
        grad_cam_maps(Plain(), torch.randn(2, 4, 4))


def with_objects(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images whose background alone tells the class, stripes that lie or stand; on it an object like any other, 6 x 6
    pixels of noise. Images (N, 1, 16, 16), classes (N,), and where the object is (N, 16, 16)."""
    generator = torch.Generator().manual_seed(seed)
    stripes = (torch.arange(16) // 2 % 2).float()
    labels = torch.arange(count) % 2
    background = torch.where(labels.view(-1, 1, 1).bool(), stripes.view(1, 16, 1), stripes.view(1, 1, 16))
    images, objects = background.clone(), torch.zeros(count, 16, 16, dtype=torch.bool)
    for at, (top, left) in enumerate(torch.randint(0, 11, (count, 2), generator=generator).tolist()):
        images[at, top : top + 6, left : left + 6] = torch.rand(6, 6, generator=generator)
        objects[at, top : top + 6, left : left + 6] = True
    return images.unsqueeze(1), labels, objects


def test_it_shows_the_background_where_the_background_tells_the_class(one_thread: None) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    images, labels, _ = with_objects(96, seed=1)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    images, labels, objects = with_objects(64, seed=2)
    assert (model(images).argmax(1) == labels).all()
    heat = torch.from_numpy(grad_cam_maps(model, images, labels))
    on_object, elsewhere = heat[objects].mean(), heat[~objects].mean()
    assert elsewhere > 2 * on_object, (float(elsewhere), float(on_object))
