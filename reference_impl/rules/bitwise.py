"""Bits of integers and bool: no derivative.

NumPy's shifts are PyTorch's for counts out of range: left gives 0, right the sign's bits.
"""

import numpy as np

from reference_impl.rule import rule

rule("bitwise_not", np.invert, accepts="bool int", layout="elementwise", inplace=True)
for _name, _forward in {"bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or,
                        "bitwise_xor": np.bitwise_xor}.items():
    rule(_name, _forward, promote="result", accepts="bool int", numbers="one", inplace=True)
for _name, _forward in {"bitwise_left_shift": np.left_shift,
                        "bitwise_right_shift": np.right_shift}.items():
    rule(_name, _forward, promote="result", accepts="int", numbers="one", inplace=True)
