"""The joint plan: where the scheme's air and the convergence bound meet (system model, section 8).

A :class:`Site` is what is known of a repetition before its first round; :func:`plan_run` makes the
plan of a scheme for the air that it meets there.
"""

from airtune.joint_plan.alternate import JointPlan, Step, plan_scheme
from airtune.joint_plan.outlook import Outlook, RadioBlock
from airtune.joint_plan.plans import PLANNING_SCHEME, plan_all, plan_run, planned_pretraining
from airtune.joint_plan.site import Site

__all__ = [
    "PLANNING_SCHEME",
    "JointPlan",
    "Outlook",
    "RadioBlock",
    "Site",
    "Step",
    "plan_all",
    "plan_run",
    "plan_scheme",
    "planned_pretraining",
]
