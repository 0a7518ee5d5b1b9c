"""Strategies on a table: what may stand in one, what stands for a row that is missing, and whole comparisons."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from table_space import TableError, TableSpace, read_table  # noqa: E402
from tabular import Job, SimulatedTrials, _run_of, search  # noqa: E402

from budgets import Budget  # noqa: E402
from nas.strategies import Proposal  # noqa: E402


def table(path: Path, *, every: int = 1, header: str | None = None) -> Path:
    """Widths, depths and kinds of 96 networks, or of every so manieth; the widest "b" is best."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["width", "depth", "kind", "params", "macs", "cost", "score:0", "score:1", "score@2", "score@6", "test:a"]
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(",") if header else names)
        grid = list(itertools.product((4, 8, 12, 16, 24, 32, 48, 64), (1, 2, 3, 4), ("a", "b", "c")))
        for width, depth, kind in grid[::every]:
            quality = 0.5 + 0.05 * np.log2(width) + 0.02 * depth + 0.1 * (kind == "b")
            noisy = [round(quality + 0.01 * rng.normal(), 4), ""]
            params = width * width * depth
            writer.writerow(
                [width, depth, kind, params, 10 * params, width / 4, *noisy, quality / 2, quality, round(quality, 4)]
            )
    return path


def test_a_table_is_read_and_cut_to_a_budget(tmp_path: Path) -> None:
    whole = read_table(table(tmp_path / "t.csv"))
    assert [choice.label for choice in whole.choices] == ["width", "depth", "kind"]
    assert whole.choices[0].values == (4, 8, 12, 16, 24, 32, 48, 64) and whole.choices[2].values == ("a", "b", "c")
    assert len(whole.rows) == 96 and set(whole.curves) == {2, 6} and whole.test_name == "a"
    part = whole.within(Budget(max_params=2_000))
    assert 0 < len(part.rows) < 96 and part.costs[:, 0].max() <= 2_000


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("width,depth,kind,params,macs,seconds,score:0,score:1,score@2,score@6,test:a", "lacks the column cost"),
        ("width,depth,kind,params,macs,cost,s,score@1,score@2,score@6,test:a", "lacks the column score"),
        ("width,depth,kind,params,macs,cost,score:0,score:1,score@2,score@6,a", "no column test:NAME"),
        ("width,depth,params,weights,macs,cost,score:0,score:1,score@2,score@6,test:a", "column params"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        read_table(table(tmp_path / "t.csv", header=header, every=3))


def test_a_table_with_a_network_twice_and_a_budget_that_nothing_fits_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv")
    with pytest.raises(TableError, match="0 of the 96 networks of t fit"):
        read_table(path).within(Budget(max_params=3))
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(TableError, match="a network twice"):
        read_table(path)


def test_of_a_sparse_table_the_nearest_free_row_stands_for_one_that_is_missing(tmp_path: Path) -> None:
    sparse = read_table(table(tmp_path / "t.csv", every=5))
    space = TableSpace(sparse)
    rng = np.random.default_rng(1)
    mutants = space.mutants(sparse.rows[0], rng, 200)
    assert (space.places(mutants) >= 0).all()
    missing = np.array([[7, 3, 0]], np.int16)  # 64 wide, 4 deep, "a"
    assert space.places(missing)[0] < 0
    first = space.nearest(missing)
    space.free[space.places(first)] = False
    second = space.nearest(missing)

    def distance(rows: np.ndarray) -> float:
        apart = np.abs(missing[0] - rows[0])
        return apart[0] / 7 + apart[1] / 3 + (apart[2] != 0)

    every = sorted(distance(row[None]) for row in sparse.rows)
    assert np.allclose([distance(first), distance(second)], every[:2])


def test_time_is_counted_as_workers_would_take_it(tmp_path: Path) -> None:
    whole = read_table(table(tmp_path / "t.csv"))
    space = TableSpace(whole)
    trials = SimulatedTrials(_run_of(Job(whole, "random", 0, 6), space), space, workers=2, seconds=1e9)
    for row in (whole.rows[95], whole.rows[0], whole.rows[1], whole.rows[2]):  # 16 s, then three of 1 s
        assert trials.slot_free()
        trials.submit(Proposal(space.decode(row)))
    trials.drain()
    assert trials.ended == [0, 1, 2, 95] and trials.clock == 16


def test_every_strategy_finds_its_way_and_the_guided_one_is_ahead_of_random(tmp_path: Path) -> None:
    whole = read_table(table(tmp_path / "t.csv"))
    mean = {
        name: np.mean([search(Job(whole, name, seed, 16)).test for seed in range(12)])
        for name in ("guided", "evolution", "random")
    }
    assert mean["guided"] > max(mean["random"], mean["evolution"])
    assert whole.test.max() - mean["guided"] < 0.005
    short = search(Job(whole, "guided", 0, 96, workers=3, seconds=40.0, prune=True))
    assert 3 < short.trials < 96


def test_a_comparison_from_the_command_line(tmp_path: Path) -> None:
    command = [
        sys.executable, str(BENCHMARKS / "tabular.py"), "--table", str(table(tmp_path / "t.csv", every=3)),
        "--max-params", "5k", "--seeds", "6", "--trials", "8", "--json", str(tmp_path / "t.json"), "--plot",
        str(tmp_path / "t.png"), "--strategies", "guided", "random", "hill-climb", "--plugin",
        str(BENCHMARKS.parent / "docs/examples/hill_climb.py"), "--processes", "1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "8 trials" in done.stdout and "hill-climb" in done.stdout and "oracle" in done.stdout
    found = json.loads((tmp_path / "t.json").read_text())
    assert (found["rows"], len(found["results"])) == (32, 6) and found["fitting"] < 32
    for result in found["results"]:
        assert len(result["test"]) == 6 and min(result["regret"]) >= 0
        assert np.allclose(found["oracle"] - np.array(result["test"]), result["regret"])
    assert (tmp_path / "t.png").stat().st_size > 5_000
    wrong = subprocess.run([*command, "--test", "b"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "test:a" in wrong.stderr and "Traceback" not in wrong.stderr
