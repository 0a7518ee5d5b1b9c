"""The first stage of a one-shot search: a supernet is trained, or continues, and its candidates are recorded."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from budgets.usable import usable
from nas.errors import ObjectiveError, SearchStopped, TrialError, out_of_memory
from nas.runs import Journal, SearchRun
from nas.runs.events import SupernetProgress, SupernetStarted
from nas.runs.hints import typed
from nas.strategies.oneshot.batches import Images
from nas.strategies.oneshot.candidates import note_on_collapse, ranked_candidates
from nas.strategies.oneshot.checkpoint import Checkpoint
from nas.strategies.oneshot.memory import Need, memory_need, shortage
from nas.strategies.oneshot.training import AfterStep, SupernetTraining
from nas.trials.datasets import forget
from nas.units import counted
from search_spaces import SearchSpace
from search_spaces.restriction import with_values

TELL_EVERY = 1.0  # seconds, how far an epoch is
TIME_SHARE = 0.5  # of a time limit, for the supernet; the rest is for trials and their confirmation


def find_candidates(journal: Journal[SearchRun], device: str, *, threads: int | None = None) -> None:
    """Train the supernet of a run on ``device``, or resume it, and record the candidates; nothing if they are
    recorded already. Memory and data are let go of at the end. ``threads``: of the CPU; None: as many as torch takes.

    A KeyboardInterrupt passes through; what it, or a kill, costs is the epoch that it falls in. RunError for a
    checkpoint that cannot be used, SearchStopped if memory does not suffice or a loss is not finite.
    """
    run = journal.run
    checkpoint = Checkpoint(run)
    if run.candidates is None:
        try:
            with _on_threads(threads):
                _train_and_choose(journal, checkpoint, device)
        except ObjectiveError as error:
            raise SearchStopped(
                f"The supernet cannot be ranked: {error}. When that is fixed: {typed('resume', run.folder)}. Or start "
                "a new search with another --objective."
            ) from error
        except TrialError as error:
            rates = "--alpha-learning-rate or --learning-rate" if "select_loss" in str(error) else "--learning-rate"
            raise SearchStopped(
                f"The supernet cannot be trained with these settings: {error}. Start a new search with a lower {rates}."
            ) from error
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise SearchStopped(
                f"The supernet ran out of memory on {device}, of which enough was free when it began. Free some, "
                f"then: {typed('resume', run.folder)}. Or start a new search with a smaller --batch-size."
            ) from error
        finally:
            forget()
            gc.collect()
            torch.cuda.empty_cache()  # nothing on a CPU
    assert run.candidates is not None
    if note := note_on_collapse(run.candidates):
        journal.note(note)
    checkpoint.remove()


@contextmanager
def _on_threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_and_choose(journal: Journal[SearchRun], checkpoint: Checkpoint, device: str) -> None:
    run = journal.run
    task, budget = run.task, run.budget
    space = supernet_space(run)
    images = Images.of(run.config, task.num_classes, device)
    need = memory_need(run.config, space, task, budget, device=device)
    if lack := shortage(need, space, task, device=device, batch_size=max(images.sizes)):
        # It fitted when the search began, and how it trains cannot change any more.
        raise SearchStopped(
            f"{lack} Free some, then: {typed('resume', run.folder)}. Or continue elsewhere with --device NAME."
        )
    training = SupernetTraining(run.config, space, task, budget, images)
    if run.supernet is None:
        journal.append(_description(training, need))
    record = checkpoint.load(training)
    if record is not None and all(known.epoch != record.epoch for known in run.supernet_epochs):
        journal.append(record)  # a kill came between the checkpoint and the log
    for epoch in range(1 + (record.epoch if record else 0), training.epochs + 1):
        if record is not None and _out_of_time(journal, record.seconds):
            journal.note(_cut_short(training, epoch - 1))
            break
        record = training.run_epoch(epoch, _teller(journal, epoch))
        checkpoint.save(training, record)
        journal.append(record)
    journal.append(ranked_candidates(training))


def supernet_space(run: SearchRun) -> SearchSpace:
    """The space of a run without the values that no network within its budget uses; as recorded, once it is."""
    if run.supernet is None:
        return usable(run.space, run.task, run.budget)
    return with_values(run.space, {label: tuple(values) for label, values in run.supernet.choices.items()})


def _teller(journal: Journal[SearchRun], epoch: int) -> AfterStep:
    """Tells listeners how far an epoch is, about once a second."""
    began = told = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TELL_EVERY:
            told = now
            journal.tell(SupernetProgress(epoch, done, of, now - began))

    return tell


def _description(training: SupernetTraining, need: Need) -> SupernetStarted:
    return SupernetStarted(
        params=need.num_params,
        peak_bytes=need.peak(max(training.images.sizes)),
        epochs=training.epochs,
        warm_up_epochs=training.warm_up if training.alphas else 0,
        choices={choice.label: list(choice.values) for choice in training.space.choices},
        skip_choices=list(training.supernet.skip_choices),
    )


def _out_of_time(journal: Journal[SearchRun], seconds: float) -> bool:
    """True if one more epoch of ``seconds`` would take more than the supernet's share of the time limit."""
    limit = journal.run.config.time_limit
    return limit is not None and journal.log.elapsed + seconds > TIME_SHARE * limit


def _cut_short(training: SupernetTraining, epochs: int) -> str:
    """Note on what a time limit did to the supernet."""
    text = (
        f"The supernet was trained for {epochs} of {counted(training.epochs, 'epoch')}: another epoch would "
        "have taken more than half"
        " of the time limit, and the rest is for its trials."
    )
    if training.alphas and epochs <= training.warm_up:
        text += (
            " Its alphas had not begun to learn: the candidates are no better than a random sample. Give more time, or "
            "fewer --supernet-epochs."
        )
    return text
