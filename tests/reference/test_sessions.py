"""Sessions that tell how autograd behaves end alike on the reference and on torch.

The files in sessions/ hold them, divided by lines of three dashes: each leaves a result in `out`, or is
refused. T is the library.
"""

import pathlib
import warnings

import pytest
from random_programs import builtin_name

import reference_impl

torch = pytest.importorskip("torch")

HERE = pathlib.Path(__file__).parent / "sessions"
SESSIONS = [pytest.param(session, id=f"{path.stem}-{number}")
            for path in sorted(HERE.glob("*.txt"))
            for number, session in enumerate(path.read_text().strip().split("\n---\n"))]

# what torch's message says beyond these words is advice, or names the node of a later history
WORDS = 45


def outcome(session, library):
    """What the session leaves in `out`, in plain values, or the type and words of its refusal."""
    names = {"T": library, "out": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(session, names)  # noqa: S102 - the session is the test
        except Exception as error:  # noqa: BLE001 - what is raised is compared
            return builtin_name(error), str(error)[:WORDS]
        return plain(names["out"], library)


def plain(x, library):
    if isinstance(x, library.Tensor):
        return digits(x.tolist()), tuple(x.stride()), str(x.dtype), x.requires_grad
    if isinstance(x, (tuple, list)):
        return [plain(i, library) for i in x]
    return x.name() if hasattr(x, "next_functions") else x


def digits(x):
    """Five digits: exp of float32 may differ in the last bit."""
    if isinstance(x, list):
        return [digits(i) for i in x]
    return f"{x:.5g}" if isinstance(x, (float, complex)) else x


@pytest.mark.parametrize("session", SESSIONS)
def test_session_ends_as_on_torch(session):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = outcome(session, torch)
    assert outcome(session, reference_impl) == want, session


def test_the_warning_for_grad_of_a_non_leaf_is_torchs():
    seen = []
    for library in (torch, reference_impl):
        y = library.ones(2, requires_grad=True) * 2
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert y.grad is None
        seen.append([(w.category, str(w.message)[:100]) for w in caught])
    assert seen[0] == seen[1] and len(seen[0]) == 1


def test_graphs_deeper_than_the_stack_run_and_are_freed():
    x = reference_impl.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1.0
    del y


def test_every_refusal_has_a_kind_and_a_builtin_type():
    from reference_impl import errors

    kinds = [c for c in vars(errors).values() if isinstance(c, type) and
             issubclass(c, errors.Refusal) and c is not errors.Refusal]
    assert len(kinds) > 30
    for kind in kinds:
        assert kind.kind != "other" and builtin_name(kind("x")) != "Exception"
