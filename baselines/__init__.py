"""Fixed networks and the studies made with them: what to run for comparison, not how to train it.

Belongs here: networks that no space describes, studies as data, and classical
methods as functions of arrays.
Does not belong here: training, runs, reports (``nas``). Importing this package does not import torch.
"""

from baselines.registry import FixedNetwork, NetworkKind, build_network, get_network, network_names, register_network

__all__ = ["FixedNetwork", "NetworkKind", "build_network", "get_network", "network_names", "register_network"]
