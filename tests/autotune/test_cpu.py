"""CPU auto-tuning: the measurements, the choice, what is remembered and recorded."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from budgets import Budget
from nas.api.settings import search_config
from nas.autotune import Measurement, Placement, Workload, cpu, execution_of
from nas.autotune.cache import Cache
from nas.autotune.cpu import choose
from nas.autotune.fastest import VERSION
from nas.autotune.probe import probe
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig
from nas.data import DataConfig
from nas.engine import placement
from nas.engine.plan import Plan, start
from nas.executors import WorkerSlot
from nas.executors.devices import count_cores
from nas.report.tables.search import described
from nas.runs import as_search
from nas.runs.fold import fold
from nas.training.loop import train
from nas.training.precision import BFLOAT16, Execution
from nas.training.sampling import epoch_plan
from nas.training.tensor_split import TensorSplit
from nas.trials.spec import TrialSpec
from search_spaces import Task, get_space, space_names

CONTIGUOUS, CHANNELS_LAST = Execution(), Execution("channels_last")
TASK = Task((1, 8, 8), 10)


def plan(*, trials: int = 2000, workers: int | None = 2, cache: Path | None = None, **settings: object) -> Plan:
    """A search of digits that is long enough to be worth measuring."""
    data = DataConfig(cache_dir=str(cache) if cache else None)
    config = SearchConfig(
        space="vgg", budget=Budget(max_params=20_000), data=data, recipe=Recipe(), trials=trials,
        workers=workers, **settings,
    )  # fmt: skip
    slots = [WorkerSlot("cpu", 1)] * 2
    counts = {"train": [100] * 10, "test": [9] * 10}
    budget, classes = Budget(max_params=20_000), tuple("0123456789")
    return Plan(config, get_space("vgg"), TASK, budget, "", classes, slots, counts, "digits", "key")


def rates(*images_per_second: float) -> list[Measurement]:
    """Of the usual way, channels last, and that in bfloat16."""
    ways = (CONTIGUOUS, CHANNELS_LAST, BFLOAT16)
    return [Measurement(2, 1, way, metric) for way, metric in zip(ways, images_per_second, strict=False)]


@pytest.mark.parametrize(
    ("measured", "chosen"),
    [
        ((100, 109), CONTIGUOUS),  # no more than measurements vary
        ((100, 150), CHANNELS_LAST),
        ((100, 150, 190), CHANNELS_LAST),  # bfloat16 must win by more
        ((100, 150, 196), BFLOAT16),
        ((100, 80, 129), CONTIGUOUS),
        ((100, 109, 131), BFLOAT16),
    ],
)
def test_the_usual_way_stays_unless_another_is_clearly_faster(measured: tuple[float, ...], chosen: Execution) -> None:
    assert choose(rates(*measured)).execution == chosen


def test_one_worker_with_all_threads_is_chosen_where_it_is_faster() -> None:
    alone = Measurement(1, 2, CONTIGUOUS, 130.0)
    assert choose([*rates(100, 105), alone]) == alone


def test_a_search_is_measured_once_and_keeps_the_workers_that_were_typed(tmp_path: Path) -> None:
    """In real processes."""
    asked = plan(cache=tmp_path, precision="float32")
    found = placement.placed(asked)
    chosen = found.placement
    assert chosen is not None and chosen.execution is not None
    assert placement.placed(asked).placement == chosen  # the second time from memory
    assert (len(found.slots), chosen.workers, chosen.threads) == (2, 2, 1)
    assert chosen.execution.precision == "float32"
    assert "2 in parallel, 1 thread each" in described(chosen, chosen.execution)
    with start(found, tmp_path / "run") as store:
        recorded = as_search(fold(store.folder, store.entries())).facts.placement
    assert recorded == chosen  # what a resumed run goes by
    assert execution_of("auto", recorded) == Execution(chosen.execution.memory_format, "float32")


def test_what_is_remembered_is_not_measured_again(tmp_path: Path) -> None:
    asked = plan(cache=tmp_path, workers=None)
    spec = placement.representative(asked)
    workload = Workload(spec, tuple(asked.slots), asked.config.trials, None, "auto")
    facts = {"version": VERSION, **cpu.identity(workload)}
    known = [*rates(100, 150, 160), Measurement(1, count_cores(), CONTIGUOUS, 75.0)]
    Cache(tmp_path / "autotune").add(facts, [asdict(one) for one in known])
    found = placement.placed(asked)
    assert found.placement == Placement("cpu", 2, 1, CHANNELS_LAST, 150, 2.0, tuple(known))
    assert "2 times as fast as torch's defaults" in described(found.placement, CHANNELS_LAST)
    assert placement.slots_of([WorkerSlot("cpu", 4)], asked.config, found.placement) == [WorkerSlot("cpu", 1)] * 2
    elsewhere = [WorkerSlot("cuda:0", 2)]  # resumed on a GPU, for which nothing was measured
    assert placement.slots_of(elsewhere, asked.config, found.placement) == elsewhere
    other = replace(workload, precision="float32")
    assert {"version": VERSION, **cpu.identity(other)} != facts


def test_what_the_user_or_the_environment_says_of_threads_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "count_cores", lambda: 4)
    asked = plan(workers=None)
    workload = Workload(placement.representative(asked), tuple(asked.slots), 9, None, "auto")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cpu.layouts(workload) == [workload.slots, (WorkerSlot("cpu", 3),)]
    assert len(cpu.layouts(replace(workload, threads=1))) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert len(cpu.layouts(workload)) == 1


def test_short_searches_and_those_on_a_gpu_are_left_as_they_are(tmp_path: Path) -> None:
    short = plan(trials=2, confirm=0, cache=tmp_path)
    assert placement.placed(short) is short
    alone = plan(cache=tmp_path, workers=1)  # equal logs wherever it runs, so nothing may hang on a measurement
    assert placement.placed(alone) is alone
    on_gpu = replace(plan(cache=tmp_path), slots=[WorkerSlot("cuda:0", 2)])
    assert placement.placed(on_gpu) is on_gpu
    assert not (tmp_path / "autotune").exists()


def test_a_precision_that_was_asked_for_is_what_trials_use() -> None:
    assert execution_of("auto", None) is None
    assert execution_of("float32", None) == CONTIGUOUS
    assert execution_of("bfloat16", None) == BFLOAT16
    assert search_config({"space": "vgg", "precision": "bfloat16"}).precision == "bfloat16"
    with pytest.raises(ValueError, match="--precision 'half' cannot be used: choose 'auto', 'float32' or 'bfloat16'"):
        search_config({"space": "vgg", "precision": "half"})


@pytest.mark.parametrize("space", space_names())
@pytest.mark.usefixtures("one_thread")
def test_losses_do_not_depend_on_how_a_training_is_carried_out(space: str) -> None:
    """In float32 to rounding, with one thread or two; in bfloat16 roughly."""
    sample = get_space(space).canonical
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (24, 1, 8, 8), dtype=torch.uint8, generator=generator)
    split = TensorSplit(images, torch.arange(24) % 10)
    recipe = Recipe(epochs=1, batch_size=12, learning_rate=1e-3)
    assert epoch_plan(split, None, recipe)[1] == [12, 12]

    def loss(execution: Execution | None, threads: int = 1) -> float:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        model = get_space(space).build(sample, (1, 8, 8), 10)
        training = train(model, split, split, recipe, num_classes=10, device="cpu", seed=0, execution=execution)
        torch.set_num_threads(1)
        assert all(tensor.is_contiguous() for tensor in training.best_state.values())
        return training.history[0]["train_loss"]

    plain, rounded = loss(None), loss(BFLOAT16)
    threads = 2 if space == "vgg" else 1  # the others are slow by two where something else runs
    assert loss(CHANNELS_LAST, threads=threads) == pytest.approx(plain, rel=3e-4)
    assert rounded != plain and rounded == pytest.approx(plain, rel=0.1)


@pytest.mark.parametrize("recipe", [Recipe(loss="ldam"), Recipe(loss="balanced-softmax", mixing="mixup")])
@pytest.mark.usefixtures("one_thread")
def test_steps_of_any_recipe_can_be_measured(recipe: Recipe) -> None:
    """Also with more classes than a batch has images."""
    sample = get_space("vgg").canonical
    recipe = recipe.model_copy(update={"batch_size": 16})
    spec = TrialSpec("1", "vgg", sample, (1, 8, 8), 40, DataConfig(), recipe, seed=0, execution=CHANNELS_LAST)
    result = probe(replace(spec, probe="measure"), "cpu", lambda row: None)
    assert result.metrics["probe"]["images_per_second"] > 0
    result = probe(replace(spec, probe="time"), "cpu", lambda row: None)
    assert result.metrics["probe"].keys() == {"trained_per_second", "scored_per_second"}
    assert all(rate > 0 for rate in result.metrics["probe"].values())
