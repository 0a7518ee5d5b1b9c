"""Search spaces: families of networks, each defined once, and the readings of such a definition.

Belongs here: the vocabulary of layers, the families, samples, and turning a sample into a network.
Does not belong here: what an architecture costs (``budgets``), how it is trained or searched (``nas``).
Importing this package does not import torch; building a network does.
"""

from search_spaces.registry import get_space, register, space_names
from search_spaces.space import Sample, SearchSpace, Task

__all__ = ["Sample", "SearchSpace", "Task", "get_space", "register", "space_names"]
