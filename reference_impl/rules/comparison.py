"""Comparisons and logic: the result is bool and has no derivative.

Written over a float in place, a comparison is a step function and has derivative zero; of the
logical operations torch says nothing.
"""

import numpy as np

from reference_impl.creation import zeros_like
from reference_impl.rule import rule

FLAT = {"vjp": lambda ct, ins, y: [zeros_like(ct)] * 2, "jvp": lambda t, ins, y: zeros_like(t[0])}
for _name, _forward in {"eq": np.equal, "ne": np.not_equal}.items():
    rule(_name, _forward, promote="bool_out", inplace=True, node=f"{_name.capitalize()}Backward1",
         **FLAT)
for _name, _forward in {"lt": np.less, "le": np.less_equal, "gt": np.greater,
                        "ge": np.greater_equal}.items():
    rule(_name, _forward, promote="bool_out", accepts="bool int float", inplace=True,
         node=f"{_name.capitalize()}Backward1", **FLAT)
for _name, _forward in {"logical_and": np.logical_and, "logical_or": np.logical_or,
                        "logical_xor": np.logical_xor}.items():
    rule(_name, _forward, promote="bool_out", numbers=False, inplace=True)
rule("logical_not", np.logical_not, layout="elementwise", inplace=True)
