"""Exports of untrained networks: what is checked does not depend on what was learned."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from exported_files import NAMES, PROVENANCE, TASK, contents, request_for, small_sample, traces_of_this_machine
from safetensors.torch import load_file, save_file

from nas.errors import ExportError, UsageError
from nas.export.check import FILES, check_budget, check_counts, check_files, check_logits, files_of, random_pixels
from nas.export.formats import EXPORTERS, TrainedModel, register_exporter
from nas.export.model_card import description, model_card
from nas.export.request import ExportRequest, Extras, Floor
from nas.export.write import export, trained_model, write_files
from search_spaces import get_space, space_names


@pytest.fixture(scope="module")
def request_vgg(tmp_path_factory: pytest.TempPathFactory) -> ExportRequest:
    return request_for("vgg", tmp_path_factory.mktemp("vgg"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportRequest:
    request = request_for("mobilenet", tmp_path_factory.mktemp("exported"), small_sample("mobilenet"))
    killed = request.out.with_name(".tmp-model-0123456789ab")  # what an export leaves that was killed while it wrote
    killed.mkdir()
    (killed / "model.onnx").write_bytes(b"half of it")
    files = export(request).files
    assert sorted(file.name for file in files) == [
        "README.md",
        "model.json",
        "model.onnx",
        "model.pt2",
        "model.py",
        "predict.py",
        "weights.safetensors",
    ]
    return request


@pytest.mark.parametrize(("metric", "reached", "below"), [("accuracy", 0.95, True), ("accuracy", 0.2, False)])
def test_the_card_names_the_floor(request_vgg: ExportRequest, metric: str, reached: float, below: bool) -> None:
    """The request's network has 0.9 on test."""
    floor = Floor("RBF SVM on pixels", metric, reached, images=4000, of_images=45_000)
    request = dataclasses.replace(request_vgg, floor=floor)
    assert description(request)["floor"] == dataclasses.asdict(floor)
    card = model_card(request)
    line = f"trained on 4,000 of the 45,000 images, has a {metric} of {reached:.4f} on `test`."
    assert line in card
    assert (f"{line} This network is below it." in card) == below
    untested = dataclasses.replace(request, metrics={"rank": request.metrics["rank"]})
    assert line in model_card(untested) and "below it" not in model_card(untested)
    assert description(request_vgg)["floor"] is None and "floor" not in model_card(request_vgg)


def nothing_is_left(request: ExportRequest) -> bool:
    return [path.name for path in request.weights.parent.iterdir()] == [request.weights.name]


def written(request: ExportRequest) -> None:
    """Its files, unchecked."""
    request.out.mkdir()
    write_files(request, TrainedModel(trained_model(request), request.input_shape), request.out)


def assert_nothing_but_the_network(request: ExportRequest) -> None:
    assert traces_of_this_machine(request.out) == []
    onnx = request.out / "model.onnx"
    assert onnx.stat().st_size < 1.25 * request.cost.size_bytes + 300 * len(load_file(request.weights))


@pytest.mark.slow
class TestWhole:
    def test_folder_and_nothing_else(self, exported: ExportRequest) -> None:
        assert {path.name for path in exported.weights.parent.iterdir()} == {"model", "trained.safetensors"}
        assert sorted(exported.out.iterdir()) == sorted(
            exported.out / name
            for name in ("README.md", "model.json", "predict.py", "weights.safetensors", *FILES.values())
        )
        assert len({path.stat().st_mode for path in exported.out.iterdir()}) == 1

    def test_the_card_is_enough_for_a_stranger(self, exported: ExportRequest, tmp_path: Path) -> None:
        """The code in README.md, as it stands, answers as predict.py does."""
        from PIL import Image

        pixels = np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photo.jpg")
        for name in ("model.json", "model.onnx", "model.pt2", "model.py", "predict.py", "weights.safetensors"):
            shutil.copy(exported.out / name, tmp_path)
        card = (exported.out / "README.md").read_text()
        assert "python predict.py photo.jpg" in card
        code = "".join(block.split("```")[0] for block in card.split("```python\n")[1:])
        code += "\nassert torch.allclose(network(torch.from_numpy(images)), logits, atol=1e-5)"
        code += "\nprint(Classifier().classes[int(logits[0].argmax())])"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
        by_onnx = subprocess.run(
            [sys.executable, "predict.py", "photo.jpg"], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        assert done.stdout.strip() == next(csv.reader([by_onnx.stdout], delimiter="\t"))[1]
        assert done.stdout.strip() in NAMES

    def test_a_spoilt_file_is_noticed(
        self, exported: ExportRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(FILES, "pt2")  # which takes longest to load, and is not spoilt
        spoilt = shutil.copytree(exported.out, tmp_path / "spoilt")
        tensors = load_file(exported.weights)
        other = {name: tensor * 1.01 for name, tensor in tensors.items() if tensor.is_floating_point()}
        save_file(tensors | other, spoilt / "weights.safetensors")
        with pytest.raises(ExportError, match=r"model\.py, loaded .* other logits"):
            check_files(spoilt, exported, trained_model(exported), random_pixels(exported.input_shape))

    @pytest.mark.parametrize("space", [name for name in space_names() if name not in ("mobilenet", "vgg")])
    def test_every_space_and_not_a_word(self, space: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The files of each other; whole exports, which load them again, are in other tests."""
        request = request_for(space, tmp_path / "in", small_sample(space))
        written(request)
        assert capfd.readouterr() == ("", "")
        assert_nothing_but_the_network(request)

    def test_another_export_is_equal_byte_for_byte(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        request = request_for("vgg", tmp_path / "in", small_sample("vgg"))
        again = dataclasses.replace(request, out=tmp_path / "again")
        written(request), written(again)
        assert capfd.readouterr() == ("", "")
        assert_nothing_but_the_network(request)
        assert dict(contents(again.out)) == dict(contents(request.out))

    def test_traces_are_found(self, exported: ExportRequest, tmp_path: Path) -> None:
        spoilt = shutil.copytree(exported.out, tmp_path / "spoilt")
        (spoilt / "README.md").write_text(f"made in {Path.home()}/somewhere")
        assert traces_of_this_machine(spoilt) == [f"{Path.home()} in README.md"]


class TestRefusals:
    """Reasons to write nothing, found before anything slow."""

    @pytest.fixture(autouse=True)
    def no_programs(self) -> Iterator[None]:
        def nothing(request: ExportRequest, model: TrainedModel, folder: Path) -> None: ...

        with EXPORTERS.replaced("pt2", nothing), EXPORTERS.replaced("onnx", nothing):
            yield

    def test_folder_with_something_in_it(self, request_vgg: ExportRequest, tmp_path: Path) -> None:
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "precious.txt").write_text("mine")
        with pytest.raises(UsageError, match=r"model exists and is not an empty folder"):
            export(dataclasses.replace(request_vgg, out=tmp_path / "model"))
        assert (tmp_path / "model" / "precious.txt").read_text() == "mine"

    def test_out_is_a_file(self, request_vgg: ExportRequest, tmp_path: Path) -> None:
        (tmp_path / "model").write_text("mine")
        with pytest.raises(UsageError, match="not an empty folder"):
            export(dataclasses.replace(request_vgg, out=tmp_path / "model"))
        with pytest.raises(UsageError, match="cannot be written"):
            export(dataclasses.replace(request_vgg, out=tmp_path / "model" / "inside"))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda r: {"params": r.params + 1},
                "parameters of the network.*parameters in.*parameters by thop",
            ),
            (lambda r: {"macs": r.macs + 1}, "MACs by thop"),
            (lambda r: {"size_bytes": r.size_bytes - 4}, "bytes of tensors"),
            (lambda r: {"budget": {"max_params": r.params - 1}}, "breaks its budget.*parameters"),
            (lambda r: {"budget": {"max_macs": r.macs - 1}}, "breaks its budget.*MACs"),
            (lambda r: {"budget": {"max_bytes": r.size_bytes - 1}}, "breaks its budget.*bytes of weights"),
            (lambda r: {"budget": {"max_peak_memory": r.peak_memory - 1}}, "breaks its budget.*activations"),
            (lambda r: {"classes": ("a", "b")}, "2 class names for 4 classes"),
            (lambda r: {"weights": r.weights.with_name("none")}, "none cannot be used"),
            (lambda r: {"num_classes": 5, "classes": (*NAMES, "x")}, "cannot be used"),
        ],
    )
    def test_what_does_not_add_up(
        self, request_vgg: ExportRequest, change: Callable[[ExportRequest], dict[str, object]], message: str
    ) -> None:
        with pytest.raises(ExportError, match=f"(?s){message}"):
            export(dataclasses.replace(request_vgg, **change(request_vgg)))  # type: ignore[arg-type]
        assert nothing_is_left(request_vgg)

    def test_a_format_that_fails_leaves_nothing(self, request_vgg: ExportRequest) -> None:
        def no_onnx(request: ExportRequest, model: TrainedModel, folder: Path) -> None:
            assert (folder / "weights.safetensors").is_file()
            raise ExportError("no such operator")

        with EXPORTERS.replaced("onnx", no_onnx), pytest.raises(ExportError, match="no such operator"):
            export(request_vgg)
        assert nothing_is_left(request_vgg)

    def test_files_that_are_missing(self, request_vgg: ExportRequest) -> None:
        out = request_vgg.weights.parent / "a" / "b" / "model"
        with pytest.raises(ExportError, match=r"model\.onnx does not work in a fresh process"):
            export(dataclasses.replace(request_vgg, out=out))
        assert nothing_is_left(request_vgg)


def test_formats_have_names_of_their_own() -> None:
    assert set(FILES) <= set(EXPORTERS)
    everything = files_of(Extras(static=True, with_preprocessing=True))
    assert len(set(everything.values())) == len(everything) == len(FILES) + 2
    assert files_of(Extras(int8=True)) == FILES
    with pytest.raises(ValueError, match="exists already"):
        register_exporter("onnx")(EXPORTERS["onnx"])


@pytest.mark.slow
def test_a_network_that_cannot_be_traced_is_named(tmp_path: Path) -> None:
    class Reads(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images if images.sum().item() > 0 else -images

    request = request_for("vgg", tmp_path)
    for name in ("pt2", "onnx"):
        with pytest.raises(ExportError, match="The network cannot be exported"):
            EXPORTERS[name](request, TrainedModel(Reads(), TASK.input_shape), tmp_path)


class TestChecks:
    def test_logits(self) -> None:
        one = np.array([[1.0, -2.0]], np.float32)
        check_logits("f", [one], [one + 1e-4])
        with pytest.raises(ExportError, match=r"f, loaded.*differ by 0\.001"):
            check_logits("f", [one], [one + 1e-3])
        with pytest.raises(ExportError, match="nan"):
            check_logits("f", [one], [one * np.float32("nan")])
        with pytest.raises(ExportError, match="shape"):
            check_logits("f", [one], [one[0]])

    def test_inputs_look_like_normalized_images(self, request_vgg: ExportRequest) -> None:
        pixels = random_pixels((1, 8, 8))
        assert [len(batch) for batch in pixels] == [1, 4, 1, 4]
        request = dataclasses.replace(request_vgg, mean=[0.5], std=[0.25])
        batches = [request.normalized(batch) for batch in pixels]
        assert all(batch.dtype == np.float32 and 1.9 < np.abs(batch).max() <= 2 for batch in batches)

    @pytest.mark.parametrize("space", space_names())
    def test_counts_of_random_networks(self, space: str, tmp_path: Path) -> None:
        for seed in range(3):
            sample = get_space(space).sample(np.random.default_rng(seed))
            request = request_for(space, tmp_path, sample)
            check_counts(trained_model(request), request.weights, request.input_shape, request.cost)

    def test_budget_within(self, request_vgg: ExportRequest) -> None:
        check_budget(request_vgg.cost, request_vgg.budget)
        check_budget(request_vgg.cost, {})


class TestCard:
    def test_json(self, request_vgg: ExportRequest) -> None:
        facts = json.loads(json.dumps(description(request_vgg)))
        assert facts["input"]["shape"] == ["batch", 3, 12, 10]
        assert facts["input"]["normalization"]["mean"] == [0.5, 0.4, 0.3]
        assert facts["classes"] == list(NAMES)
        assert facts["metrics"]["rank"]["recall_by_class"] == [1.0, 0.75, None, 0.5]
        assert facts["sample"] == request_vgg.sample
        assert list(facts["provenance"].items()) == [
            ("run", "r1"), ("trial", "7"), ("data", "tools"), ("imbalance of the training split", 5.0),
            ("recipe", "ce"), ("training", {"loss": "ce", "epochs": 3, "flip": True}), ("strategy", "evolution"),
            ("seed", 0), ("trials", 12), ("nasctl", "0.1"),
            ("confirm", {"split": "rank", "metric": "balanced_accuracy", "mean": 0.9, "std": 0.01, "runs": 3}),
        ]  # fmt: skip

    def test_readme(self, request_vgg: ExportRequest) -> None:
        card = model_card(request_vgg)
        assert f"| parameters | {request_vgg.params:,} | {request_vgg.params:,} |" in card
        assert "| bytes of weights (tensors only, without the file's header) |" in card
        assert "| macro f1 | - | 0.8000 |" in card
        assert "| hammer \\| tongs | - | 0.2500 |" in card
        assert "balanced accuracy on `rank` 0.9000 ± 0.0100" in card
        assert "Trained again 3 times" in card
        assert "| training | loss ce, epochs 3, flip True |" in card
        assert "| imbalance of the training split | 5.0 |" in card
        assert "| confirm" not in card
        assert request_vgg.text in card

    @pytest.mark.parametrize(
        ("prior", "words"), [("uniform", "all equally frequent"), ("train", "as frequent as among")]
    )
    def test_the_card_says_which_prior_a_score_assumes(
        self, request_vgg: ExportRequest, prior: Literal["uniform", "train"], words: str
    ) -> None:
        request = dataclasses.replace(request_vgg, prior=prior)
        assert description(request)["output"]["prior"] == prior
        assert words in model_card(request)

    def test_readme_without_anything_optional(self, request_vgg: ExportRequest) -> None:
        once = dataclasses.replace(PROVENANCE, confirm=None)
        request = dataclasses.replace(request_vgg, metrics={}, provenance=once, budget={})
        assert "confirm" not in description(request)["provenance"]
        card = model_card(request)
        assert "Not recorded." in card
        assert "The data was not at hand" in card and "temperature is" not in card
        assert "±" not in card
