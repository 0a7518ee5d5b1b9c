"""Options behind a name: read by the types of a signature, written in one form, refused with what to type instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from registered import registering
from torch import Tensor, nn

from nas.api.settings import search_config
from nas.config import Recipe
from nas.config.options import bound, canonical, options_of, read_options
from nas.data.dataset import Split
from nas.data.oversampling import Synthetic, oversample, register_oversampler
from nas.errors import UsageError
from nas.training.class_counts import ClassCounts
from nas.training.losses import make_loss, register_loss
from nas.training.mixing import mix, register_mixing
from nas.training.regularizers import make_regularizer, register_regularizer
from nas.training.sampling import Images, make_sampler, register_sampler

if TYPE_CHECKING:
    from decimal import Decimal


def fn(
    given: object, power: float = 1.0, *, number: int = 3, how: Literal["sum", "mean", 2] = "sum", on: bool = True,
    limit: int | None = None, text: str = "a", bare=0.5, odd: Decimal | float = 1.5,  # type: ignore[no-untyped-def]
) -> None:  # fmt: skip
    """Has an option of every type that there may be."""


def needy(*, size: int, name: str) -> None: ...


def one_form(text: str, function: Callable[..., object] = fn, given: int = 1) -> str:
    return canonical(text.partition(":")[0], read_options("loss", text, function, given))


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("fn", "fn"),
        ("fn:power=1", "fn"),
        ("fn:power=1.0,how=sum", "fn"),
        ("fn: how = mean , power=2", "fn:power=2,how=mean"),
        ("fn:power=1e-3", "fn:power=0.001"),
        ("fn:power=0.1234567890123456", "fn:power=0.1234567890123456"),
        ("fn:how=2,on=No", "fn:how=2,on=false"),
        ("fn:limit=none,number=4", "fn:number=4"),
        ("fn:limit=4,text=b c,bare=1,odd=2", "fn:limit=4,text=b c,bare=1,odd=2"),
    ],
)
def test_equal_choices_are_equal_texts(typed: str, form: str) -> None:
    assert one_form(typed) == form == one_form(form)


def test_values_have_the_types_of_the_signature() -> None:
    found = read_options("loss", "fn:power=2,number=4,how=2,on=0,limit=5,bare=1", fn, 1)
    assert found == {"power": 2.0, "number": 4, "how": 2, "on": False, "limit": 5, "bare": 1.0}
    assert [type(value) for value in found.values()] == [float, int, int, bool, int, float]
    assert bound("loss", "fn", fn, 1) is fn


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("fn:powr=1", r"^The loss fn has no option 'powr'. Did you mean 'power'\? Options: power=1, number=3, how=sum"),
        ("fn:", "has no option ''"),
        ("fn:power", "^power of the loss fn has no value: write fn:power=VALUE"),
        ("fn:power=x", "^power=x of the loss fn cannot be used: give a number.$"),
        ("fn:power=inf", "give a number"),
        ("fn:number=1.5", "give a whole number"),
        ("fn:on=perhaps", "give true or false"),
        ("fn:how=men", r"choose sum or mean or 2. Did you mean 'mean'\?$"),
        ("fn:power=1,power=2", "given twice"),
        ("fn:power=x,number=y,nothing=1", "(?s)power=x.*number=y.*'nothing'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_can(typed: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        one_form(typed)


def test_options_without_a_default_are_needed_and_those_without_a_type_refused() -> None:
    assert one_form("needy:name=x,size=3", needy, 0) == "needy:size=3,name=x"
    with pytest.raises(UsageError, match=r"The loss needy needs size and name: write needy:size=VALUE"):
        one_form("needy", needy, 0)
    with pytest.raises(UsageError, match=r"The loss needy has no options: write needy alone"):
        one_form("needy:size=3", needy, 2)

    def untyped(x=None) -> None:  # type: ignore[no-untyped-def]
        ...

    with pytest.raises(TypeError, match=r"option 'x' of untyped has no type that can be parsed from text: int, float"):
        options_of(untyped, 0)


Loss = Callable[[Tensor, Tensor], Tensor]


def test_every_part_of_a_recipe_takes_them() -> None:
    counts = ClassCounts(*(torch.tensor([3.0, 2.0], dtype=torch.float64) for _ in range(2)))
    with registering():

        @register_loss("constant")
        def constant(recipe: Recipe, counts: object, *, value: float = 1.0) -> Loss:
            return lambda logits_NC, labels_N: logits_NC.sum(1) * 0 + value

        @register_regularizer("fixed", weight=2)
        def fixed(model: nn.Module, size: int = 1) -> Callable[[], Tensor]:
            return lambda: torch.tensor(float(size))

        @register_mixing("half")
        def half(first: Tensor, second: Tensor, share: Tensor, counts: object, to: float = 0.5) -> Tensor:
            return torch.full_like(share, to)

        @register_sampler("same")
        def same(images: Images, place: int = 0) -> Callable[[int, torch.Generator], Tensor]:
            return lambda count, generator: torch.full((count,), place)

        recipe = Recipe(
            loss="constant:value=2.50", regularizer="fixed:size=3", mixing="half:to=0.25", sampler="same:place=1"
        )
        assert recipe.loss == "constant:value=2.5"
        assert make_loss(recipe)(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long)) == 2.5
        regularizer = make_regularizer(recipe, nn.Linear(1, 1))
        assert regularizer is not None and regularizer(0.0) == 6
        _, mixed = mix(torch.zeros(4, 1, 1, 1), torch.zeros(4).long(), recipe, counts, torch.Generator())
        assert not isinstance(mixed, Tensor) and mixed.share_N.tolist() == [0.25] * 4
        assert make_sampler(torch.zeros(3), recipe)(2, torch.Generator()).tolist() == [1, 1]  # type: ignore[arg-type]


def test_an_oversampler_takes_them_and_stores_each_apart(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import numpy as np

    split = Split(np.zeros((3, 1, 2, 2), np.uint8), np.arange(3), np.array([0, 0, 1]))

    with registering():

        @register_oversampler("paint")
        def paint(split: Split, grey: int = 9):  # type: ignore[no-untyped-def]
            yield Synthetic(np.full((1, 1, 2, 2), grey, np.uint8), np.array([1]))

        made = [oversample(name, split, cache=tmp_path, key="k") for name in ("paint", "paint:grey=7", "paint")]
        assert [int(one.images[0, 0, 0, 0]) for one in made] == [9, 7, 9]


def test_the_command_line_checks_them_with_everything_else() -> None:
    flags = {"space": "vgg", "loss": "focal:gamma=3", "objective": "acuracy", "regularizer": "scaled:weigt=2"}
    with registering():
        register_regularizer("scaled", weight=1)(lambda model, weight=1.0: lambda: torch.zeros(()))
        with pytest.raises(UsageError) as caught:
            search_config(flags)
        told = caught.value.messages
        assert told == (
            "The loss focal has no options: write focal alone.",
            "The regularizer scaled has no option 'weigt'. Did you mean 'weight'? Options: weight=1.",
            *told[2:],
        )
        assert "There is no objective 'acuracy'. Did you mean 'accuracy'?" in told[2] and len(told) == 3
        good = search_config({"space": "vgg", "regularizer": "scaled:weight=2.0", "strategy": "random"})
        assert good.recipe.regularizer == "scaled:weight=2"
