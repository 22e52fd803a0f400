"""Is what must be refused refused, with the right kind, and nothing half done?"""

import numpy as np

from conformance.accuracy.ulp import same_bits
from conformance.oracles.base import Comparisons, Context, Sample, fact


def error(ctx: Context, sample: Sample) -> Comparisons:
    """The kind of the refusal, and that the inputs are as they were."""
    raised = sample.seen.raised
    got = raised.kind if raised is not None else "no error"
    yield fact(sample, "error", "raised", got, sample.case.expects, "raised")
    observed = sample.seen.inputs or ()
    for (name, operand), after in zip(sample.case.operands(), observed, strict=False):
        intact = after.value.shape == operand.data.shape and bool(
            np.all(same_bits(after.value, operand.data))
        )
        if raised is not None:
            yield fact(sample, "error", f"{name} after", intact, True, "half done")
