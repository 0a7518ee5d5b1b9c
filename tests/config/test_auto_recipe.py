"""Open values of a recipe are chosen from the data, and nothing else is."""

from __future__ import annotations

import pytest

from nas.config import Recipe
from nas.config.auto_recipe import default_epochs, resolve_recipe
from nas.config.recipe import RECIPES

EVEN, UNEVEN = [100] * 10, [100, 72, 51, 37, 26, 19, 14, 10, 7, 5]  # the second: the digits, long-tailed by 20


@pytest.mark.parametrize("objective", ["balanced_accuracy", "macro_f1", "worst_recall"])
def test_the_prior_is_added_where_classes_are_uneven_and_count_alike(objective):
    recipe, note = resolve_recipe(RECIPES["auto"], UNEVEN, objective)
    assert (recipe.name, recipe.loss, recipe.prior_tau) == ("custom-ce+prior", "custom-ce", 1)
    assert note == "classes are imbalanced, 20 to 1: training adds their log prior to the logits"
    for counts, goal in ((EVEN, objective), (UNEVEN, "accuracy"), ([100, 99, 67], objective)):
        recipe, note = resolve_recipe(RECIPES["auto"], counts, goal)
        assert (recipe.name, recipe.prior_tau, note) == ("custom-ce", 0, "")


def test_named_recipes_stay_what_they_are():
    for name in RECIPES.keys() - {"auto"}:
        recipe, _ = resolve_recipe(RECIPES[name], UNEVEN, "balanced_accuracy")
        changed = {key for key, value in recipe.model_dump().items() if value != getattr(RECIPES[name], key)}
        assert changed == {"epochs", "batch_size"}


def test_what_is_given_is_kept():
    recipe, _ = resolve_recipe(Recipe(epochs=7, batch_size=9), EVEN, "accuracy")
    assert (recipe.epochs, recipe.batch_size) == (7, 9)
    recipe, _ = resolve_recipe(Recipe(epochs=24), EVEN, "accuracy")  # the default, but it was asked for
    assert recipe.epochs == 24
    again, _ = resolve_recipe(Recipe.model_validate_json(recipe.model_dump_json()), [9] * 3, "accuracy")
    assert again == recipe  # what a log holds is resolved


@pytest.mark.parametrize(
    ("num_images", "epochs"), [(20, 240), (143, 231), (341, 98), (1156, 53), (5000, 26), (12_406, 24), (10**6, 24)]
)
def test_few_images_are_seen_more_often(num_images, epochs):
    assert default_epochs(num_images) == epochs
    assert 24 <= epochs <= 240 and (epochs == 240 or epochs * num_images >= 33_000)


@pytest.mark.parametrize(("counts", "batch"), [([1, 1], 2), ([20, 20], 40), (UNEVEN, 64), ([30_000, 9], 128)])
def test_the_batch_fits_the_set(counts, batch):
    assert resolve_recipe(Recipe(), counts, "accuracy")[0].batch_size == batch


def test_an_oversampled_epoch_is_longer():
    recipe, _ = resolve_recipe(Recipe(oversampling="smote"), UNEVEN, "balanced_accuracy")
    assert recipe.epochs == default_epochs(500)  # half of ten times the largest class


@pytest.mark.parametrize(
    ("name", "objective", "words"),
    [
        ("custom-ce", "balanced_accuracy", "weights imbalanced classes (20 to 1) by their frequency, but"),
        ("focal", "worst_recall", "but worst recall weights all classes equally, as --recipe auto does"),
        ("balanced-softmax", "accuracy", "equally, but accuracy weights them by their frequency"),
        ("custom-ce+smote", "accuracy", "as --recipe custom-ce does"),
    ],
)  # fmt: skip
def test_a_recipe_that_contradicts_the_objective_is_told(name, objective, words):
    assert words in resolve_recipe(RECIPES[name], UNEVEN, objective)[1]
    assert resolve_recipe(RECIPES[name], EVEN, objective)[1] == ""


@pytest.mark.parametrize(
    "name", ["balanced-softmax", "ldam-drw", "ce-drw", "custom-ce+borderline-smote", "custom-ce+prior"]
)
def test_a_recipe_that_meets_an_imbalance_is_not(name):
    assert resolve_recipe(RECIPES[name], UNEVEN, "balanced_accuracy")[1] == ""
