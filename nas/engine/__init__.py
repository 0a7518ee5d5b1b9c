"""Engine: carries a plan to a finished run. Sessions, trials, confirmation, studies; no flags, no tables, no torch at
import.

The public names are imported when they are first used.
"""

from typing import TYPE_CHECKING

from nas.lazy import lazy

if TYPE_CHECKING:
    from nas.engine.plan import Plan, plan_search
    from nas.engine.search import run_search
    from nas.engine.study import run_study
    from nas.engine.study_plan import StudyPlan, plan_study

__all__ = ["Plan", "StudyPlan", "plan_search", "plan_study", "run_search", "run_study"]

__getattr__ = lazy(
    __name__,
    {
        "nas.engine.plan": ["Plan", "plan_search"],
        "nas.engine.search": ["run_search"],
        "nas.engine.study": ["run_study"],
        "nas.engine.study_plan": ["StudyPlan", "plan_study"],
    },
)
