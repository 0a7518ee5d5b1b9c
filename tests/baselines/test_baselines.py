"""The fixed networks: exact sizes, what learns and what does not, weights that fit or are refused."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import thop
import torch
import torchvision.models
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import get_model_weights, resnet18, resnet34, resnet50, vgg19

from baselines import FixedNetwork, build_network, get_network, network_names
from baselines.counting import count, layer_counts
from baselines.freezing import freeze
from baselines.imagenet import check_weights, downloaded_weights, sha256
from baselines.networks.origin import ORIGIN_NETS
from baselines.networks.resnet18 import default_input_size
from baselines.weights_files import RESNET18, VGG19
from nas.config.recipe import Recipe
from nas.training.loop import train
from nas.training.metrics import evaluate
from nas.training.tensor_split import TensorSplit
from search_spaces import Task
from search_spaces.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")

TASKS = [Task((1, 28, 28), 62), Task((1, 8, 8), 10), Task((3, 32, 32), 10)]


@pytest.fixture(scope="module")
def imagenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the right names and shapes; what the numbers are does not matter here."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.manual_seed(0)
    torch.save(resnet18(weights=None).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("name", "task"),
    [(name, task) for name in network_names() for task in (TASKS[:1] if name in ORIGIN_NETS else TASKS)],
    ids=str,
)
def test_the_count_is_that_of_the_module_and_of_thop(name: str, task: Task) -> None:
    network = FixedNetwork(name, {"input_size": 32} if get_network(name).weights else {})
    counted = count(network, task.input_shape, task.num_classes)
    module = build_network(network, task.input_shape, task.num_classes).eval()
    assert counted.cost.params == sum(p.numel() for p in module.parameters())
    assert counted.trainable == sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert counted.cost.size_bytes == sum(t.numel() * t.element_size() for t in module.state_dict().values())
    only = {nn.BatchNorm2d: thop.vision.basic_hooks.zero_ops, nn.ReLU: thop.vision.basic_hooks.zero_ops}
    only |= {nn.AdaptiveAvgPool2d: thop.vision.basic_hooks.zero_ops, nn.MaxPool2d: thop.vision.basic_hooks.zero_ops}
    more = (nn.AvgPool2d, nn.BatchNorm1d, nn.AdaptiveMaxPool2d)
    only |= dict.fromkeys(more, thop.vision.basic_hooks.zero_ops)
    macs, _ = thop.profile(module, (torch.zeros(1, *task.input_shape),), custom_ops=only, verbose=False)
    assert counted.cost.macs == macs
    assert module(torch.zeros(3, *task.input_shape)).shape == (3, task.num_classes)


def test_a_resnet18_has_the_studys_trainable_parameters() -> None:
    full = count(FixedNetwork("resnet18"), (1, 28, 28), 62)
    assert full.trainable == 8_435_070
    assert full.cost.macs > 45 * count(FixedNetwork("resnet18", {"input_size": 32}), (1, 28, 28), 62).cost.macs
    module = build_network(FixedNetwork("resnet18", {"input_size": 32}), (1, 28, 28), 62)
    assert sum(p.numel() for p in module.parameters() if p.requires_grad) == 8_435_070


@pytest.mark.parametrize(
    ("name", "params"), [("densenet121", 7_978_856), ("resnet18-whole", 11_689_512), ("resnet50", 25_557_032)]
)
def test_networks_of_torchvision_have_its_numbers_of_parameters(name: str, params: int) -> None:
    """Of 1,000 classes; all of them learn."""
    counted = count(FixedNetwork(name, {"input_size": 32}), (3, 32, 32), 1000)
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name.removesuffix("-whole"))(weights=None)
    assert counted.cost.params == counted.trainable == params == sum(p.numel() for p in theirs.parameters())
    assert get_model_weights(name.removesuffix("-whole")).DEFAULT.url == get_network(name).weights.address  # type: ignore[union-attr]


def test_fixed_features_are_a_function_of_the_image(tmp_path: Path) -> None:
    """With weights all but the last layer stays as it is in training; those of a training here are such a file."""
    first = build_network(FixedNetwork("resnet50", {"input_size": 8}), (1, 8, 8), 3)
    path = tmp_path / "resnet50.1.safetensors"
    save_file(first.state_dict(), path)
    kind = get_network("resnet50-features")
    assert kind.weights is not None
    check_weights(path, kind.weights)
    settings = {"input_size": 8, "weights": str(path), "weights_sha256": sha256(path)}
    module = build_network(FixedNetwork("resnet50-features", settings), (1, 8, 8), 10)
    assert [name for name, part in module.named_parameters() if part.requires_grad] == ["net.fc.weight", "net.fc.bias"]
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    module.eval()
    expected = module(images)
    module.train()
    assert torch.equal(module(images), expected)  # also of a batch: its statistics do not count
    for name, tensor in first.state_dict().items():
        assert ".fc." in name or torch.equal(module.state_dict()[name], tensor)


def test_old_names_of_densenets_file_are_read(tmp_path: Path) -> None:
    state = torchvision.models.densenet121(weights=None).state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", name): each for name, each in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet121.pth")
    weights = get_network("densenet121").weights
    assert weights is not None
    check_weights(tmp_path / "densenet121.pth", weights)
    with pytest.raises(UsageError, match=r"does not fit torchvision's resnet50: conv1\.weight is missing"):
        check_weights(tmp_path / "densenet121.pth", get_network("resnet50").weights)  # type: ignore[arg-type]


def test_a_resnet32_has_the_benchmarks_parameters() -> None:
    assert count(FixedNetwork("resnet32"), (3, 32, 32), 10).cost.params == 464_154


def test_the_one_cycle_net_has_its_parameters() -> None:
    assert count(FixedNetwork("resnet9"), (3, 32, 32), 10).cost.params == 6_573_120


def test_the_net_of_faces_has_the_published_parameters_and_memory() -> None:
    """Published as 37,877,528 parameters at 7,000 classes, in 144.49 MiB."""
    faces = FixedNetwork("biased-resnet50")
    counted, layers = count(faces, (3, 224, 224), 7_000).cost, layer_counts(faces, (3, 224, 224), 7_000)
    assert counted.params == sum(layer.params for layer in layers) == 37_877_528
    assert counted.macs == sum(layer.macs for layer in layers) and round(4 * counted.params / 2**20, 2) == 144.49
    plain = resnet50(weights=None, num_classes=7_000)
    biases = sum(each.out_channels for each in plain.modules() if isinstance(each, nn.Conv2d)) - 64  # none in the stem
    assert counted.params == sum(parameter.numel() for parameter in plain.parameters()) + biases
    assert layers[0].output == (64, 112, 112) and layers[0].num_bytes == 4 * 64 * 112 * 112
    assert [layer.output for layer in layers if layer.name.endswith(".2.body.7")][-1] == (2048, 7, 7)


def test_a_small_cnn_has_the_parameters_that_are_counted_by_hand() -> None:
    """Weights and biases of 16 and of 32 kernels of 3x3, then of a linear layer of 32 maps of a quarter of the side."""
    for shape, classes, side in (((3, 32, 32), 10, 8), ((1, 28, 28), 62, 7), ((1, 9, 5), 4, (3, 2))):
        height, width = side if isinstance(side, tuple) else (side, side)
        by_hand = (9 * shape[0] + 1) * 16 + (9 * 16 + 1) * 32 + (32 * height * width + 1) * classes
        assert count(FixedNetwork("small-cnn"), shape, classes).trainable == by_hand
    assert count(FixedNetwork("small-cnn"), (3, 32, 32), 10).cost.params == 25_578
    module = build_network(FixedNetwork("small-cnn"), (1, 1, 1), 3)
    assert module(torch.zeros(1, 1, 1, 1)).shape == (1, 3)
    assert not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def test_the_networks_of_the_photo_grid_have_the_parts_of_torchvisions() -> None:
    """All of VGG-19 has 143,667,240 parameters at 1,000 classes, its convolutions 20,024,384, those before the third
    pool 2,325,568; ResNet-18 has 11,689,512."""
    with torch.device("meta"):
        theirs = vgg19()
        assert sum(p.numel() for p in theirs.parameters()) == 143_667_240
        for name, size in (("vgg19", 20_024_384), ("vgg19-gelu", 20_024_384), ("vgg19-frozen", 2_325_568)):
            module = FixedNetwork(name).construction((3, 224, 224), 3).build()
            assert sum(p.numel() for p in module.features.parameters()) == size
            ours = {f"features.{key}": each.shape for key, each in module.features.state_dict().items()}
            assert ours.items() <= {key: each.shape for key, each in theirs.state_dict().items()}.items()
    frozen = count(FixedNetwork("vgg19-frozen"), (3, 224, 224), 3, "features")
    assert frozen.cost.params - frozen.trainable == 2_325_568
    assert count(FixedNetwork("resnet18-photo"), (3, 32, 32), 1000).cost.params == 11_689_512


def test_the_weights_of_a_vgg19_arrive_and_what_is_frozen_stays(tmp_path: Path) -> None:
    path, generator = tmp_path / "vgg19.pth", torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in vgg19().state_dict().items() if name.startswith("features.")}
    state = {name: 0.02 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    torch.save(state, path)
    check_weights(path, VGG19)
    module = build_network(FixedNetwork("vgg19-frozen", {"weights": str(path)}), (3, 32, 32), 4)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert all(torch.equal(state[name], before[name]) for name in before if name.startswith("features."))
    images = TensorSplit(torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8), torch.arange(8) % 4)
    recipe = Recipe(freeze="features, convolutions.[14]", epochs=1, batch_size=4, loss="ce")
    train(module, images, images, recipe, num_classes=4, device="cpu", seed=0)
    changed = {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {"convolutions.0.weight", "convolutions.3.weight", "classifier.1.weight"} <= changed
    assert not [name for name in changed if name.startswith(("features.", "convolutions.1.", "convolutions.4."))]
    for pattern, words in (("feature", "no module of that name. It has features, convolutions, classifier"),
                           ("*", "leaves nothing that learns")):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            freeze(module, pattern)
    with pytest.raises(UsageError, match=r"does not fit torchvision's resnet18: conv1\.weight is missing"):
        check_weights(path, RESNET18)


@pytest.mark.parametrize("pretrained", [True, False])
def test_frozen_stages_do_not_learn(pretrained: bool, imagenet_file: Path) -> None:
    settings = {"input_size": 32, "weights": str(imagenet_file) if pretrained else None}
    module = build_network(FixedNetwork("resnet18", settings), (1, 8, 8), 10)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    module.train()
    images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    nn.functional.cross_entropy(module(images), torch.arange(8)).backward()
    optimizer.step()
    changed = {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
    frozen = {name for name in changed if name.startswith(("net.layer1", "net.layer2", "net.layer3"))}
    assert {"net.conv1.weight", "net.bn1.running_mean", "net.layer4.0.conv1.weight", "net.fc.weight"} <= changed
    if pretrained:
        assert not frozen  # a fixed function: its running statistics stay too
    else:
        assert frozen and all("running" in name or "tracked" in name for name in frozen)
    assert not module.eval().training and not module.net.layer1[0].bn1.training


def test_images_are_resized_inside_and_scored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    module = build_network(FixedNetwork("resnet18", {"input_size": 64}), (1, 8, 8), 10).eval()
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    seen: list[Tensor] = []
    module.net.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    whole = module(images)
    assert seen[0].shape == (5, 3, 64, 64)
    assert torch.equal(seen[0][:, 0], seen[0][:, 2])  # grey, three times
    monkeypatch.setattr("baselines.modules.resnet18.PIXELS_AT_ONCE", 2 * 64 * 64)
    assert whole.shape == (5, 10)
    evaluate(module, (images * 9).byte(), torch.arange(5), ((0.5,), (0.5,)), num_classes=10, device="cpu")
    assert [len(part) for part in seen[1:]] == [2, 2, 1]


def test_the_input_size_is_the_studys_where_images_are_large_enough() -> None:
    assert [default_input_size((1, side, side)) for side in (8, 16, 28, 32, 224)] == [32, 64, 224, 224, 224]


def test_pretrained_weights_arrive(imagenet_file: Path) -> None:
    check_weights(imagenet_file, RESNET18)
    settings = {"input_size": 32, "weights": str(imagenet_file), "weights_sha256": sha256(imagenet_file)}
    state = build_network(FixedNetwork("resnet18", settings), (1, 8, 8), 7).state_dict()
    for name, tensor in torch.load(imagenet_file, weights_only=True).items():
        if not name.startswith("fc."):
            assert torch.equal(state[f"net.{name}"], tensor)
    assert state["net.fc.weight"].shape == (7, 512)
    with pytest.raises(UsageError, match="changed since this run began"):
        build_network(FixedNetwork("resnet18", {**settings, "weights_sha256": "0"}), (1, 8, 8), 7)


def test_weights_of_another_shape_are_refused_in_one_message(tmp_path: Path, imagenet_file: Path) -> None:
    state = torch.load(imagenet_file, weights_only=True)
    wide = tmp_path / "wide.pth"
    torch.save({**state, "conv1.weight": torch.zeros(64, 1, 7, 7)}, wide)
    with pytest.raises(UsageError, match=r"conv1\.weight is 64x1x7x7, not 64x3x7x7\. Give") as refused:
        check_weights(wide, RESNET18)
    assert len(refused.value.messages) == 1
    del state["layer2.0.conv1.weight"]
    torch.save(state, wide)
    with pytest.raises(UsageError, match=r"layer2\.0\.conv1\.weight is missing"):
        check_weights(wide, RESNET18)
    torch.save({name: t for name, t in resnet34(weights=None).state_dict().items() if "layer3" not in name}, wide)
    with pytest.raises(UsageError, match=r"and 2\d more"):
        check_weights(wide, RESNET18)


def test_files_that_hold_no_weights_are_refused(tmp_path: Path) -> None:
    text, pickled = tmp_path / "notes.txt", tmp_path / "list.pth"
    text.write_text("no weights")
    torch.save([torch.zeros(3)], pickled)
    for path, words in ((text, "cannot be read"), (pickled, "no state dict"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(UsageError, match=words):
            check_weights(path, RESNET18)


def test_a_download_is_kept_if_it_is_the_right_file(
    tmp_path: Path, imagenet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    address = imagenet_file.as_uri()
    with pytest.raises(UsageError, match="its SHA-256 differs"):
        downloaded_weights(address, "00000000")
    assert not list((tmp_path / "hub").rglob("*.pth*"))
    digest = hashlib.sha256(imagenet_file.read_bytes()).hexdigest()[:8]
    kept = downloaded_weights(address, digest)
    assert kept.is_relative_to(tmp_path / "hub") and kept.read_bytes() == imagenet_file.read_bytes()
    assert downloaded_weights("file:///gone/resnet18.pth", digest) == kept  # not fetched again
    with pytest.raises(UsageError, match="--weights FILE"):
        downloaded_weights("file:///gone/other.pth", digest)


def test_the_origin_studys_networks_have_its_numbers_of_parameters() -> None:
    counted = {name: count(FixedNetwork(name), (1, 28, 28), 62).trainable for name in ORIGIN_NETS}
    assert counted == {
        "model1": 52_822, "model1_heavy": 647_934, "model2": 21_422, "model2_2": 173_214, "model3": 70_838,
        "model3_2": 462_638, "model3_blsmote": 119_318, "model4": 149_566,
    }  # fmt: skip
    assert counted == {name: net.params for name, net in ORIGIN_NETS.items()}


def test_the_origin_studys_networks_have_its_layers() -> None:
    """The count alone would not tell where normalization and activations stand, and what halves."""

    def layers(name: str) -> list[str]:
        module = build_network(FixedNetwork(name), (1, 28, 28), 62)
        kinds = {nn.Conv2d: "conv", nn.BatchNorm2d: "norm", nn.ReLU: "relu", nn.MaxPool2d: "pool", nn.Linear: "linear"}
        return [kinds[type(part)] for part in module.modules() if type(part) in kinds]

    assert layers("model1") == ["conv", "relu", "conv", "relu", "pool"] * 2 + ["linear"]
    separable = ["conv", "norm", "relu", "conv", "norm"]  # no activation after the 1x1 convolution
    assert layers("model4") == ["conv", "norm", "relu", *separable * 5, "linear"]
    last = {}
    for name in ("model1", "model2", "model3", "model4"):
        sizes: list[tuple[int, ...]] = []
        module = build_network(FixedNetwork(name), (1, 28, 28), 62)
        for part in module.children():
            part.register_forward_hook(lambda _, __, output, sizes=sizes: sizes.append(tuple(output.shape[1:])))
        module(torch.zeros(2, 1, 28, 28))
        last[name] = [size for size in sizes if len(size) == 3 and size[-1] > 1][-1]
    assert last == {"model1": (16, 7, 7), "model2": (32, 14, 14), "model3": (42, 7, 7), "model4": (256, 4, 4)}


def test_unknown_networks_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'resnet18'"):
        get_network("resnet81")
    with pytest.raises(UsageError, match="Did you mean 'model2_2'"):
        get_network("model2-2")
