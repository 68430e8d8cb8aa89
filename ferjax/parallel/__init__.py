"""The only rooms that know devices: what is compiled, what is donated, what lives where, and who else runs."""

from ferjax.parallel.compiled import Compiled, Figures, Window, compile_functions, initialize
from ferjax.parallel.keys import KEYS
from ferjax.parallel.memory import explain_memory
from ferjax.parallel.placement import Dispatch, Layout, create_layout, place, plan_dispatch, plan_seeds
from ferjax.parallel.processes import Votes, all_agree, count_processes, is_main, join_processes

__all__ = [
    "KEYS",
    "Compiled",
    "Dispatch",
    "Figures",
    "Layout",
    "Votes",
    "Window",
    "all_agree",
    "compile_functions",
    "count_processes",
    "create_layout",
    "explain_memory",
    "initialize",
    "is_main",
    "join_processes",
    "place",
    "plan_dispatch",
    "plan_seeds",
]
