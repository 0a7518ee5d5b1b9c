"""Load one exported file in a fresh process and answer the inputs with it.

Run as a script (``python -I loader_script.py FORMAT FOLDER INPUTS OUTPUTS``), never imported: what it loads must lean
neither on anything that the exporting process had in memory nor on our packages. INPUTS and OUTPUTS are ``.npz`` files.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

Arrays = list[npt.NDArray[np.float32]]

OURS = {"nas", "search_spaces", "budgets", "baselines", "nni"}


def answer_pt2(folder: Path, batches: Arrays) -> Arrays:
    import torch

    model = torch.export.load(folder / "model.pt2").module()
    with torch.no_grad():
        return [model(torch.from_numpy(batch)).numpy() for batch in batches]


def answer_onnx(folder: Path, batches: Arrays, file: str = "model.onnx") -> Arrays:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
    output = session.get_outputs()[0].name  # "logits", or "embedding" where the last layer was left out
    return [session.run([output], {"images": batch})[0] for batch in batches]


def answer_static(folder: Path, batches: Arrays) -> Arrays:
    images = [image[None] for batch in batches for image in batch]
    answers = np.concatenate(answer_onnx(folder, images, "model.batch1.onnx"))
    return np.split(answers, np.cumsum([len(batch) for batch in batches])[:-1])


def answer_uint8(folder: Path, batches: Arrays) -> Arrays:
    return answer_onnx(folder, batches, "model.uint8.onnx")


def answer_source(folder: Path, batches: Arrays) -> Arrays:
    """By ``model.py`` with ``weights.safetensors``."""
    import torch

    model = runpy.run_path(str(folder / "model.py"))["load"]()  # an import would leave its bytecode in the folder
    with torch.no_grad():
        return [model(torch.from_numpy(batch)).numpy() for batch in batches]


ANSWERS = {
    "pt2": answer_pt2,
    "onnx": answer_onnx,
    "source": answer_source,
    "static": answer_static,
    "uint8": answer_uint8,
}


def main(form: str, folder: str, inputs: str, outputs: str) -> None:
    with np.load(inputs) as file:
        batches = [file[name] for name in file.files]
    answers = ANSWERS[form](Path(folder), batches)
    leaning = sorted(OURS & set(sys.modules))
    if leaning:
        sys.exit(f"needs the packages {', '.join(leaning)}")
    np.savez(outputs, *answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
