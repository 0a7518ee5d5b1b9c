"""Load one exported file in a fresh process and answer the inputs with it.

Run as a script (``python -I export_loader.py FORMAT FOLDER INPUTS OUTPUTS ROOT``), never imported: what
it loads must not lean on anything that the exporting process had in memory. INPUTS and OUTPUTS are ``.npz``
files; ROOT is where our packages are, which only the plain weights need.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

Arrays = list[npt.NDArray[np.float32]]

OURS = {"nas", "search_spaces", "budgets", "baselines", "nni"}


def answer_pt2(folder: Path, batches: Arrays, root: str) -> Arrays:
    import torch

    model = torch.export.load(folder / "model.pt2").module()
    with torch.no_grad():
        return [model(torch.from_numpy(batch)).numpy() for batch in batches]


def answer_onnx(folder: Path, batches: Arrays, root: str, file: str = "model.onnx") -> Arrays:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
    return [session.run(["logits"], {"images": batch})[0] for batch in batches]


def answer_static(folder: Path, batches: Arrays, root: str) -> Arrays:
    images = [image[None] for batch in batches for image in batch]
    answers = np.concatenate(answer_onnx(folder, images, root, "model.batch1.onnx"))
    return np.split(answers, np.cumsum([len(batch) for batch in batches])[:-1])


def answer_uint8(folder: Path, batches: Arrays, root: str) -> Arrays:
    return answer_onnx(folder, batches, root, "model.uint8.onnx")


def answer_weights(folder: Path, batches: Arrays, root: str) -> Arrays:
    sys.path.append(root)
    import torch
    from safetensors.torch import load_file

    from search_spaces import get_space

    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    shape = tuple(card["input"]["shape"][1:])
    model = get_space(card["space"]).build(card["sample"], shape, len(card["classes"]))
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    model.eval()
    with torch.no_grad():
        return [model(torch.from_numpy(batch)).numpy() for batch in batches]


ANSWERS = {
    "pt2": answer_pt2,
    "onnx": answer_onnx,
    "weights": answer_weights,
    "static": answer_static,
    "uint8": answer_uint8,
}


def main(form: str, folder: str, inputs: str, outputs: str, root: str) -> None:
    with np.load(inputs) as file:
        batches = [file[name] for name in file.files]
    answers = ANSWERS[form](Path(folder), batches, root)
    allowed = {"search_spaces"} if form == "weights" else set()
    leaning = sorted((OURS - allowed) & set(sys.modules))
    if leaning:
        sys.exit(f"needs the packages {', '.join(leaning)}")
    np.savez(outputs, *answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
