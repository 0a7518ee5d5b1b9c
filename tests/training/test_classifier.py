"""Classifier heads of recipes, and that the finished network predicts the same alone: in every space, saved and
loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from small_spaces import trimmed
from torch import Tensor, nn

from nas.config.recipe import RECIPES, Recipe
from nas.data import DataConfig, open_data
from nas.errors import TrialError
from nas.training.class_counts import ClassCounts
from nas.training.classifier_head import Classifier, last_linear
from nas.training.loop import Training, train
from nas.training.losses import LOSSES
from nas.training.tensor_split import TensorSplit
from nas.trials.weights import Normalization, load_weights, save_weights
from search_spaces import get_space, space_names

COUNTS = ClassCounts(*(torch.tensor([90.0, 30, 25, 20, 15, 10, 7, 5, 2, 0], dtype=torch.float64) for _ in range(2)))
CLASSIFIERS = {
    "normalized": Recipe(loss="ldam"),
    "post-hoc": Recipe(loss="ce", post_hoc_tau=1.5),
}

pytestmark = pytest.mark.usefixtures("one_thread")


def small(space: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    found = trimmed(space, 3)
    model = found.build(found.sample(np.random.default_rng(seed)), (1, 8, 8), 10)
    nn.init.normal_(last_linear(model, 10)[1].bias)  # what an ordinary training makes of it
    return model.eval()


def logits(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = model(images)
    return result


@pytest.mark.parametrize("space", space_names())
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_the_folded_network_predicts_the_same_after_saving_and_loading(kind: str, space: str, tmp_path: Path) -> None:
    model, images = small(space), torch.randn(256, 1, 8, 8)
    classifier = Classifier.of(CLASSIFIERS[kind], COUNTS)
    plain = logits(model, images)
    with classifier.attached(model, 10):
        inside = logits(model, images)
    assert torch.equal(logits(model, images), plain)  # nothing stays behind
    state = classifier.folded(model.state_dict(), model, 10)
    save_weights(state, Normalization((0.5,), (0.5,)), tmp_path / "w" / "w.safetensors")
    alone = small(space, seed=0)
    alone.load_state_dict(load_weights(tmp_path / "w" / "w.safetensors")[0])
    outside = logits(alone, images)
    assert torch.equal(inside.argmax(1), outside.argmax(1))
    assert {name: tensor.shape for name, tensor in state.items()} == {
        name: tensor.shape for name, tensor in model.state_dict().items()
    }
    if kind == "normalized":
        factor = inside / outside
        assert (factor > 0).all() and torch.allclose(factor, factor[:, :1], rtol=1e-2)
    else:
        assert torch.allclose(inside, outside, atol=1e-5)
        prior = np.log(np.array([90, 30, 25, 20, 15, 10, 7, 5, 2, 1]) / 205)
        assert torch.allclose(plain - inside, torch.tensor(1.5 * prior).float(), atol=1e-4)


def test_a_normalized_classifier_gives_scaled_cosines_and_teaches_features_and_weights() -> None:
    layer = nn.Linear(6, 10)
    features = torch.randn(5, 6, requires_grad=True)
    with Classifier(scale=30.0).attached(layer, 10):
        result = layer(features)
    expected = 30 * F.cosine_similarity(features[:, None], layer.weight[None], dim=2)
    assert torch.allclose(result, expected, atol=1e-4)
    result[:, 0].sum().backward()
    assert layer.bias.grad is None and layer.weight.grad.abs().sum() > 0 and features.grad.abs().sum() > 0
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), Classifier(scale=30.0).attached(layer, 10):
        assert layer(features).dtype == torch.float32


def test_logits_are_adjusted_where_a_network_is_evaluated_not_where_it_is_trained() -> None:
    layer, features = nn.Linear(6, 10), torch.randn(5, 6)
    with Classifier(shift_C=torch.arange(10.0)).attached(layer, 10):
        trained = layer.train()(features)
        evaluated = layer.eval()(features)
    assert torch.equal(trained, layer(features))
    assert torch.allclose(evaluated, trained - torch.arange(10.0))


def test_a_network_without_a_last_linear_layer_is_refused() -> None:
    for model in (nn.Conv2d(1, 10, 8), nn.Sequential(nn.Linear(4, 10), nn.Linear(10, 3))):
        with (
            pytest.raises(TrialError, match="must be a linear layer with 10 outputs"),
            Classifier(scale=1.0).attached(model, 10),
        ):
            pass
    layer = nn.Linear(4, 10, bias=False)
    with pytest.raises(TrialError, match="has a bias"):
        Classifier(shift_C=torch.ones(10)).folded(layer.state_dict(), layer, 10)


def trained(recipe: Recipe) -> tuple[Training, TensorSplit]:
    data = open_data(DataConfig())
    splits = [data.split(name) for name in ("train", "select")]
    on_cpu = [TensorSplit.of(split.images, split.labels, "cpu") for split in splits]
    torch.manual_seed(0)
    model = get_space("resnet").build(get_space("resnet").canonical, (1, 8, 8), 10)
    return train(model, on_cpu[0], on_cpu[1], recipe, num_classes=10, device="cpu", seed=0), on_cpu[1]


@pytest.mark.parametrize("name", ["ldam-drw", "post-hoc-logit-adjustment"])
def test_the_weights_that_training_leaves_score_what_its_history_says(name: str, tmp_path: Path) -> None:
    from nas.training.metrics import evaluate

    training, select = trained(RECIPES[name].model_copy(update={"epochs": 4, "deferred_reweighting": None}))
    save_weights(training.best_state, Normalization(training.mean, training.std), tmp_path / "w" / "w.safetensors")
    model = get_space("resnet").build(get_space("resnet").canonical, (1, 8, 8), 10)
    model.load_state_dict(load_file(tmp_path / "w" / "w.safetensors"))
    metrics = evaluate(model, select.images, select.labels, (training.mean, training.std), num_classes=10, device="cpu")
    best = training.history[training.best_epoch - 1]
    assert metrics["balanced_accuracy"] == best["select_balanced_accuracy"] > 0.3
    assert metrics["worst_recall"] == best["select_worst_recall"]
    if name == "ldam-drw":
        head = last_linear(model, 10)[1]
        assert torch.allclose(head.weight.norm(dim=1), torch.ones(10)) and head.bias.abs().max() == 0


def test_only_losses_that_ask_for_cosines_get_them() -> None:
    normalized = {name for name in LOSSES if Classifier.of(Recipe(loss=name), COUNTS).scale is not None}
    assert normalized == {"ldam"}
    assert Classifier.of(Recipe(), COUNTS) == Classifier()
