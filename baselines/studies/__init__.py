"""The studies as data: which networks are trained by which recipes. ``nas`` trains them and writes the report.

A recipe here is what differs from the network's own (``NetworkKind.recipe``), by the names of the recipe's fields.
"""

from baselines.studies.base import Member, Study
from baselines.studies.registry import STUDIES, get_members, get_study, is_grid

__all__ = ["STUDIES", "Member", "Study", "get_members", "get_study", "is_grid"]
