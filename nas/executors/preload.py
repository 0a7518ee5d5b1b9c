"""Imports of the fork server, made once for every worker forked from it."""

import contextlib

with contextlib.suppress(Exception):  # what is wrong with it, the first worker that needs it will say
    import torch._dynamo  # torch.optim imports it at the first step: another second

    import nas.trials.run_trial

    __all__ = ["nas", "torch"]
