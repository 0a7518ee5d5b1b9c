"""One-shot search: one supernet is trained, and its weights and alphas say which architectures become trials.

Belongs here: the supernet's training, the budget's penalty, checkpoints, choosing candidates, memory. Does not
belong here: the supernet's layers (``search_spaces.supernet``), its choices (``nas.strategies.nni_one_shot``), trials.
Everything here needs torch: import it when it is used.
"""
