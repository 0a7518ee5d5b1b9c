"""Measurements are found again by what they depend on; damaged or foreign ones are not known."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from nas.autotune import Measurement
from nas.autotune.cache import Cache
from nas.autotune.fastest import remembered
from nas.training.precision import BFLOAT16, Execution

FACTS: dict[str, object] = {"cpu": "this one", "input_shape": (1, 8, 8)}
WAYS = (Execution(), None, BFLOAT16)
MEASURED = [Measurement(2, 1, way, 100.0 + number) for number, way in enumerate(WAYS)]
VALUE = [asdict(one) for one in MEASURED]


def test_what_was_measured_is_remembered_and_what_is_damaged_or_foreign_is_not(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "folder" / "autotune")
    assert remembered(cache, FACTS) is None
    cache.add(FACTS, VALUE)
    assert remembered(cache, FACTS) == MEASURED
    assert remembered(cache, {**FACTS, "cpu": "another"}) is None
    place = cache.place(FACTS)
    whole = place.read_text()
    document = json.loads(whole)
    broken = ["", whole[:40], "[]", "null", json.dumps({**document, "value": []}), json.dumps({**document, "value": 3})]
    broken += [whole.replace("100", "-1"), whole.replace("100", '"fast"'), whole.replace('"threads"', '"strings"')]
    broken += [whole.replace("100.0", "NaN"), whole.replace("this one", "another"), whole.replace("bfloat", "float")]
    for text in broken:
        assert text != whole
        place.write_text(text)
        assert remembered(cache, FACTS) is None, text
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    cache.add(FACTS, VALUE)
    assert remembered(cache, FACTS) == MEASURED  # kept again
    Cache(Path("/dev/null/autotune")).add(FACTS, VALUE)  # a folder that cannot be written stops nothing


def test_values_of_other_facts_lie_beside_each_other(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.add({"a": 1}, [1, 2])
    cache.add({"b": 1}, {"any": "value"})
    assert cache.find({"a": 1}) == [1, 2] and cache.find({"b": 1}) == {"any": "value"}
    cache.add({"a": 1}, [3])
    assert cache.find({"a": 1}) == [3] and cache.find({"c": 1}) is None
