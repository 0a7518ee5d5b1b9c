"""The command line of verification: comparing images, and writing embeddings. Flags in, one call down."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli.flags import Json, Model, Runs, Text, option


def verify(
    model: Model = None,
    images: Annotated[list[str] | None, typer.Argument(metavar="A B", help="Two image files.")] = None,
    far: Annotated[
        Text,
        option(
            "False accept rate of the threshold, on the run's rank pairs: 0.5, 0.2, 0.1 ... 0.0001. [default: 0.01]",
            "RATE",
        ),
    ] = None,
    threshold: Annotated[Text, option("Similarity from which on images are the same, instead of --far.", "X")] = None,
    pairs: Annotated[
        Text, option("Compare the pairs of this table, with rows A,B,1 (same) or A,B,0, instead of A B.", "FILE.csv")
    ] = None,
    runs: Runs = "runs",
    json: Json = False,
) -> None:
    """Verify whether two images show the same identity, by the similarity of their embeddings."""
    from nas.cli.commands.verify import verify_command

    code = verify_command(model, images or [], runs, far=far, threshold=threshold, pairs=pairs, as_json=json)
    raise typer.Exit(code)


def embed(
    model: Model = None,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH...", help="Image files, folders or patterns.")
    ] = None,
    out: Annotated[Text, option("File for the vectors: vectors.npz (names, vectors) or .csv.", "FILE")] = None,
    runs: Runs = "runs",
) -> None:
    """Write the embeddings of images: what enters the last linear layer, as vectors of length 1."""
    from nas.cli.commands.verify import embed_command

    raise typer.Exit(embed_command(model, paths or [], runs, out=out))
