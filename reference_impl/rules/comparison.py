"""Comparisons and logic: the result is bool and has no derivative."""

import numpy as np

from reference_impl.rule import rule

for _name, _forward in {"eq": np.equal, "ne": np.not_equal}.items():
    rule(_name, _forward, promote="bool_out", numbers="other", inplace=True)
for _name, _forward in {"lt": np.less, "le": np.less_equal, "gt": np.greater,
                        "ge": np.greater_equal}.items():
    rule(_name, _forward, promote="bool_out", accepts="bool int float", numbers="other",
         inplace=True)
for _name, _forward in {"logical_and": np.logical_and, "logical_or": np.logical_or,
                        "logical_xor": np.logical_xor}.items():
    rule(_name, _forward, promote="bool_out", numbers=False, inplace=True)
rule("logical_not", np.logical_not, layout="elementwise", inplace=True)
