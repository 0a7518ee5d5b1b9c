"""Costs of architectures, and budgets that admit or refuse them.

Belongs here: costs of many samples at once, budgets and their violations, sampling what fits.
Does not belong here: training, the search's own limits (trials, time), anything that needs torch.
"""

from budgets.budget import LIMITS, Budget, parse_limit, parse_size
from budgets.cost import Cost, Costs, cost_of, costs_of, params_of

__all__ = ["LIMITS", "Budget", "Cost", "Costs", "cost_of", "costs_of", "params_of", "parse_limit", "parse_size"]
