"""The only rooms that know devices: what is compiled, what is donated, what lives where, and who else runs."""

from ferjax.parallel.compiled import Compiled, compile_functions, initialize
from ferjax.parallel.dispatch import Figures, Window, make_dispatch
from ferjax.parallel.keys import KEYS
from ferjax.parallel.memory import check_state, describe_peak, explain_memory
from ferjax.parallel.options import Options, choose_options
from ferjax.parallel.placement import Dispatch, Layout, create_layout, place, plan_dispatch, plan_seeds
from ferjax.parallel.processes import Votes, all_agree, count_processes, is_main, join_processes

__all__ = [
    "KEYS",
    "Compiled",
    "Dispatch",
    "Figures",
    "Layout",
    "Options",
    "Votes",
    "Window",
    "all_agree",
    "check_state",
    "choose_options",
    "compile_functions",
    "count_processes",
    "create_layout",
    "describe_peak",
    "explain_memory",
    "initialize",
    "is_main",
    "join_processes",
    "make_dispatch",
    "place",
    "plan_dispatch",
    "plan_seeds",
]
