"""A linear SVM in the place of a trained network's last layer.

One SVM a class, against the rest, is a weight and a bias a class: a linear layer. So the network is whole without
scikit-learn, and is scored, exported and drawn as any other. Its logits are signed distances times a norm: their order
counts, their softmax is no probability.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.classical import sample_rows
from baselines.evaluation import Evaluation
from nas.config import Recipe
from nas.config.objectives import measure
from nas.errors import TrialError
from nas.training.augmentation import logits_of, normalize
from nas.training.classifier_head import last_linear
from nas.training.tensor_split import CHUNK, CPU_CHUNK, JoinedSplit, TensorSplit

COSTS = (1e-3, 1e-2, 1e-1, 1.0)  # of features with a deviation of 1
MOST_IMAGES = 10_000  # that are trained on; of more, as many of every class as there is room for
MOST_ITERATIONS = 100
LEAST_DEVIATION = 1e-6  # of a feature, as a share of the largest: what is constant is left out
NEVER = -1e4  # logit of a class without images to train on
WHAT = "an SVM takes the place of the last layer"

Normalization = tuple[Sequence[float], Sequence[float]]


def with_svm_head(
    state: dict[str, Tensor],
    model: nn.Module,
    splits: tuple[TensorSplit, TensorSplit | JoinedSplit],
    normalization: Normalization,
    num_classes: int,
    recipe: Recipe,
    objective: str,
) -> dict[str, Tensor]:
    """The weights ``state`` of ``model`` with an SVM in the last linear layer, trained on the first of ``splits``, its
    images as they are, each class weighted by its frequency; of ``COSTS`` the one with the best ``objective`` on the
    second.

    ``model`` then has ``state``. TrialError if it does not end in a linear layer with a bias.
    """
    train_split, select_split = splits
    name, layer = last_linear(model, num_classes, WHAT)
    if layer.bias is None:
        raise TrialError(f"{WHAT}, which must have a bias")
    model.load_state_dict(state)
    rows = sample_rows(train_split.labels.cpu().numpy(), MOST_IMAGES, seed=0)
    train = _part(train_split, rows)
    x_ND = _embeddings(model, layer, train, normalization, test_flip=recipe.test_flip)
    select_MD = _embeddings(model, layer, select_split, normalization, test_flip=recipe.test_flip)
    select_M = select_split.labels.cpu().numpy()

    def score(head: tuple[Tensor, Tensor]) -> float:
        logits_MC = F.linear(select_MD, *head)
        return measure(objective, Evaluation(select_M, logits_MC.cpu().numpy(), select_MD.cpu().numpy()))

    heads = linear_svms(x_ND, train.labels, num_classes, COSTS)
    weight_CD, bias_C = max(heads, key=score)  # of equals the first, with the least cost
    prefix = f"{name}.".lstrip(".")
    changed = dict(state)
    for part, value in (("weight", weight_CD), ("bias", bias_C)):
        own = state[prefix + part]
        changed[prefix + part] = value.to(own)
    return changed


def linear_svms(
    x_ND: Tensor, labels_N: Tensor, num_classes: int, costs: Sequence[float]
) -> list[tuple[Tensor, Tensor]]:
    """For each of ``costs``, which grow, the weight (C, D) and bias (C,) of linear SVMs, one a class against the rest.

    Each minimizes ``|w|^2 / 2 + cost * sum_n s_n max(0, 1 - t_n (w x_n + b))^2``, the bias being one of w, for features
    (N, D) scaled to a mean of 0 and a deviation of 1; t is 1 for images of the class, -1 for others, and s is
    ``N / (K N_c)`` for the N_c images of it, K classes having images, 1 for others. That is scikit-learn's
    ``LinearSVC(class_weight="balanced")``, of all classes at once. TrialError unless there are two classes or more.
    """
    count_C = torch.bincount(labels_N, minlength=num_classes)
    present_K = count_C.nonzero().flatten()
    if len(present_K) < 2:
        raise TrialError("an SVM needs training images of two classes or more")
    mean_D, deviation_D = x_ND.mean(0), x_ND.std(0, correction=0)
    used_D = deviation_D > LEAST_DEVIATION * deviation_D.max()
    deviation_D = deviation_D.where(used_D, torch.inf)
    scaled_NE = F.pad((x_ND - mean_D) / deviation_D, (0, 1), value=1.0)
    is_of_NK = labels_N.unsqueeze(1) == present_K
    side_NK = is_of_NK.double() * 2 - 1
    share_NK = torch.where(is_of_NK, len(labels_N) / (len(present_K) * count_C[present_K].double()), 1.0)
    svm_KE = torch.zeros(len(present_K), scaled_NE.shape[1], dtype=torch.float64, device=x_ND.device)
    heads = []
    for cost in costs:
        _minimize(svm_KE, scaled_NE, side_NK, share_NK, cost)  # from the one before
        weight_KD = svm_KE[:, :-1] / deviation_D
        weight_CD, bias_C = x_ND.new_zeros(num_classes, x_ND.shape[1]), x_ND.new_full((num_classes,), NEVER)
        weight_CD[present_K], bias_C[present_K] = weight_KD, svm_KE[:, -1] - weight_KD @ mean_D
        heads.append((weight_CD, bias_C))
    return heads


def _minimize(svm_KE: Tensor, x_NE: Tensor, side_NK: Tensor, share_NK: Tensor, cost: float) -> None:
    """Bring ``svm_KE`` to the minimum for ``cost``; the problem is convex, and one for all classes."""
    svm_KE.requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [svm_KE], max_iter=MOST_ITERATIONS, tolerance_grad=1e-4, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        missing_NK = F.relu(1 - side_NK * (x_NE @ svm_KE.T))
        total: Tensor = (svm_KE.square().sum() / 2 + cost * (share_NK * missing_NK.square()).sum()) / (1 + cost)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    svm_KE.requires_grad_(False)


def _part(split: TensorSplit, rows: npt.NDArray[np.int64]) -> TensorSplit:
    """Those positions of a split, sorted."""
    if len(rows) == len(split):
        return split
    place = torch.from_numpy(rows).to(split.labels.device)
    return TensorSplit(split.images, split.labels[place], place if split.rows is None else split.rows[place])


def _embeddings(
    model: nn.Module, layer: nn.Module, split: TensorSplit | JoinedSplit, normalization: Normalization, *,
    test_flip: bool,
) -> Tensor:  # fmt: skip
    """Inputs of ``layer`` (N, D), in float64, as the network is evaluated; with ``test_flip`` means of two views."""
    device = split.labels.device
    size = CPU_CHUNK if device.type == "cpu" else CHUNK
    size = min(size, getattr(model, "most_at_once", size))
    mean_C, std_C = (torch.tensor(each, dtype=torch.float32, device=device) for each in normalization)
    taken, batches = list[Tensor](), list[Tensor]()
    handle = layer.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0].flatten(1).float()))
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(split), size):
                logits_of(model, normalize(split[start : start + size], mean_C, std_C), test_flip=test_flip)
                batches.append(torch.stack(taken).mean(0))
                taken.clear()
    finally:
        handle.remove()
        model.train(was_training)
    return torch.cat(batches).double()
