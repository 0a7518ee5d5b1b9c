"""Decisive choices: those of a sample that its network depends on."""

from __future__ import annotations

import random

import pytest

from search_spaces import Task, get_space, space_names


@pytest.mark.parametrize("name", space_names())
@pytest.mark.parametrize("side", [8, 28])
def test_other_values_of_all_other_choices_build_the_same_network(name, side):
    space, task, rng = get_space(name), Task((1, side, side), 10), random.Random(side)
    for _ in range(25):
        sample = {choice.label: rng.choice(choice.values) for choice in space.choices}
        decisive = space.decisive(sample, task)
        other = {choice.label: decisive.get(choice.label, rng.choice(choice.values)) for choice in space.choices}
        assert space.architecture_id(other, task) == space.architecture_id(sample, task)
        assert space.text(other, task) == space.text(sample, task)


def test_words_name_as_many_stages_as_the_images_have_room_for():
    space = get_space("vgg")
    sample = {**space.canonical, "stages": 5}
    for side in (8, 16, 32):
        task = Task((1, side, side), 10)
        built = sum(child.name.startswith("stage") for child in space.structure(sample, task).children)
        assert space.text(sample, task).count("|") == built
        assert space.decisive(sample, task)["stages"] == built
    assert space.text(sample).count("|") == 5
