"""``nasctl verify`` and ``nasctl embed``."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from baselines.verification import scored
from nas.cli.commands.predict import require_writable
from nas.errors import UsageError
from nas.files import scratch_folder, write_atomically

if TYPE_CHECKING:
    from nas.export.embedding import Embedder, Threshold

DEFAULT_FAR = 0.01
ENDINGS = (".npz", ".csv")


def verify_command(
    model: str | None,
    images: list[str],
    runs: str,
    *,
    far: str | None,
    threshold: str | None,
    pairs: str | None,
    as_json: bool,
) -> int:
    """Say whether two images show the same identity, or how well that is told of a list of pairs; the exit code."""
    if model is None or (len(images) != 2 and not pairs):
        raise UsageError(
            "Name a network and two images: nasctl verify MODEL A.jpg B.jpg; or a list of pairs: nasctl verify MODEL "
            "--pairs pairs.csv."
        )
    if pairs and images:
        raise UsageError("--pairs lists the images to compare: leave out the others, or --pairs.")
    if far is not None and threshold is not None:
        raise UsageError("--far and --threshold both say from which similarity on images are the same: give one.")
    share = DEFAULT_FAR if far is None else _number("--far", far, 0, 1)
    typed = None if threshold is None else _number("--threshold", threshold, -1, 1)
    listed = _read_pairs(Path(pairs)) if pairs else []
    with _embedder(model, runs) as embedder:
        from nas.export.embedding import Threshold

        chosen = Threshold(typed) if typed is not None else embedder.threshold(share)
        if pairs:
            return _verify_list(embedder, listed, chosen, as_json=as_json)
        similarity = _similarities(embedder, [(images[0], images[1])])[0]
    same = similarity >= chosen.value
    if as_json:
        print(json.dumps({"images": images, "similarity": similarity, **_facts(chosen), "same": same}))
        return 0
    print(f"similarity {similarity:.4f}, threshold {chosen.value:.4f}{_rates(chosen)}")
    print("same identity" if same else "different identities")
    return 0


def embed_command(model: str | None, paths: list[str], runs: str, *, out: str | None) -> int:
    """Write the embeddings of images; the exit code, 1 if some could not be read."""
    from nas.export.predict_script import pictures_of

    if model is None or not paths or out is None:
        raise UsageError("Name a network, images and a file: nasctl embed MODEL PATH... --out vectors.npz (or .csv).")
    place = Path(out)
    if place.suffix.lower() not in ENDINGS:
        raise UsageError(f"--out {out}: give a file that ends in {' or '.join(ENDINGS)}.")
    require_writable(place, "--out")
    try:
        pictures = pictures_of(paths)
    except OSError as error:
        raise UsageError(str(error)) from error
    broken = list[str]()
    with _embedder(model, runs) as embedder:
        names, vectors = embedder.of_files(pictures, broken)
    if not names:
        raise UsageError("None of the images can be read: " + "; ".join(broken[:3]))
    write_atomically(place, _content(names, vectors, place.suffix.lower()))
    print(f"{len(names):,} vectors of {vectors.shape[1]:,} numbers in {out}")
    if broken:
        print(*broken, f"{len(broken)} of {len(pictures)} images could not be read", sep="\n", file=sys.stderr)
    return 1 if broken else 0


@contextmanager
def _embedder(model: str, runs: str) -> Iterator[Embedder]:
    """The network of an exported folder, or of a run, which is written for it first."""
    from nas.export.embedding import Embedder
    from nas.export.predict import is_exported, request_of_run

    if is_exported(model):
        yield Embedder(Path(model))
        return
    from nas.export.write import write_for_prediction

    request = request_of_run(model, Path(runs))
    with scratch_folder("nasctl-embed") as folder:
        write_for_prediction(request, folder, int8=False)
        embedder = Embedder(folder)
        embedder.folder = Path(model)
        yield embedder


def _similarities(embedder: Embedder, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """The cosine of each pair of files; UsageError names what cannot be read."""
    files, broken = list(dict.fromkeys(path for pair in pairs for path in pair)), list[str]()
    if missing := [path for path in files if not Path(path).is_file()]:
        raise UsageError(f"{missing[0]}: there is no such file.")
    names, vectors = embedder.of_files(files, broken)
    if broken:
        raise UsageError(*(f"{line.rstrip('.')}." for line in broken))
    place = {name: number for number, name in enumerate(names)}
    return [float(vectors[place[one]] @ vectors[place[other]]) for one, other in pairs]


def _verify_list(
    embedder: Embedder, listed: Sequence[tuple[str, str, bool]], chosen: Threshold, *, as_json: bool
) -> int:
    similarities = np.array(_similarities(embedder, [(one, other) for one, other, _ in listed]))
    same = np.array([is_same for *_, is_same in listed])
    found = scored(similarities[same], similarities[~same])
    accepted = similarities >= chosen.value
    accuracy = float((accepted == same).mean())
    if as_json:
        rows = [
            {"images": [one, other], "same": is_same, "similarity": float(similarity), "answer": bool(answer)}
            for (one, other, is_same), similarity, answer in zip(listed, similarities, accepted, strict=True)
        ]
        print(json.dumps({**found.numbers, **_facts(chosen), "accuracy": accuracy, "pairs": rows}))
        return 0
    print(f"{len(listed):,} pairs: {found.same:,} of one identity, {found.different:,} of two")
    print(f"ROC area {found.auc:.4f}, equal error rate {found.eer:.4f}, true accept rate {found.tar:.4f} at a false "
          "accept rate of 0.001")  # fmt: skip
    right = float(accepted[same].mean()), float(accepted[~same].mean())
    print(f"threshold {chosen.value:.4f}{_rates(chosen)}: here {right[0]:.1%} of the same are accepted, and "
          f"{right[1]:.1%} of the different; accuracy {accuracy:.4f}")  # fmt: skip
    return 0


def _read_pairs(path: Path) -> list[tuple[str, str, bool]]:
    """Rows of a table: two paths, as they are or from its folder, and 1 where both show the same identity, else 0."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), start=1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--pairs {path} cannot be read: {error}.") from error
    answers = {"1": True, "0": False, "true": True, "false": False}
    if rows and rows[0][1][-1].strip().lower() not in answers and not _names_files(rows[0][1], path):
        rows = rows[1:]  # a heading
    found = list[tuple[str, str, bool]]()
    for number, row in rows:
        cells = [cell.strip() for cell in row]
        if len(cells) != 3 or cells[2].lower() not in answers:
            raise UsageError(
                f"--pairs {path}: row {number} is {','.join(row)[:80]!r}; write two images and 1 for the same identity "
                "or 0 for two: a.jpg,b.jpg,1."
            )
        one, other = (cell if Path(cell).exists() else str(path.parent / cell) for cell in cells[:2])
        found.append((one, other, answers[cells[2].lower()]))
    if {is_same for *_, is_same in found} != {True, False}:
        raise UsageError(
            f"--pairs {path} needs pairs of one identity (1) and of two (0): {len(found)} pairs are there."
        )
    return found


def _names_files(row: Sequence[str], table: Path) -> bool:
    """True if a cell of ``row`` is the path of a file, as it is or from the folder of ``table``."""
    return any(Path(cell.strip()).is_file() or (table.parent / cell.strip()).is_file() for cell in row if cell.strip())


def _content(names: Sequence[str], vectors: np.ndarray, ending: str) -> bytes:
    if ending == ".npz":
        content = io.BytesIO()
        np.savez(content, names=np.array(names), vectors=vectors)
        return content.getvalue()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", *(f"v{number}" for number in range(1, vectors.shape[1] + 1))])
    writer.writerows(
        [name, *(f"{number:.7g}" for number in row)] for name, row in zip(names, vectors.tolist(), strict=True)
    )
    return text.getvalue().encode("utf-8", "surrogateescape")


def _number(flag: str, text: str, low: float, high: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (low < number <= high or (low == number == -1)):
        raise UsageError(f"{flag} {text} cannot be used: give a number above {low} and at most {high}.")
    return number


def _facts(chosen: Threshold) -> dict[str, float | None]:
    return {"threshold": chosen.value, "false_accept_rate": chosen.far, "true_accept_rate": chosen.tar}


def _rates(chosen: Threshold) -> str:
    if chosen.far is None or chosen.tar is None:
        return ""
    return f" (false accept rate {chosen.far:g}, true accept rate {chosen.tar:.3f} on the run's rank pairs)"
