"""Random programs: what they contain, what they find, how short it gets, and the command."""

import json
from collections import Counter
from contextlib import nullcontext

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings

from conformance.backends.eager_verbs import EagerVerbs
from conformance.backends.fakes import FAKES
from conformance.backends.reference import ReferenceBackend
from conformance.backends.session import Session
from conformance.cases.strategies import Seeded, drawn
from conformance.cli import cli
from conformance.fuzz import (
    REACHED,
    REGRESSIONS,
    FuzzError,
    Regression,
    regressions,
    replay,
    replay_all,
)
from conformance.fuzzing.judging import Pair
from conformance.fuzzing.script import script
from conformance.fuzzing.text import program_of
from conformance.fuzzing.worker import shortest
from conformance.loading import load_specs
from conformance.observation import Raised
from conformance.program import Program

OPS = load_specs().ops
REFERENCE = ReferenceBackend()
STEPS = 30
MOST = 2000  # programs within which a planted difference must be found


class Planted(ReferenceBackend):
    library = "planted"

    def __init__(self, verbs):
        super().__init__("planted")
        self.verbs = verbs

    def session(self, ops):
        return Session(self.verbs(self, ops))


# one fault per kind of step and of state ---------------------------------------------------------


class VersionNotCounted(EagerVerbs):
    def attempt(self, callee, args, kwargs):
        result = super().attempt(callee, args, kwargs)
        if callee == "mul_" and type(result) is not Raised:
            args[0]._counter.value -= 1
        return result


class AliasLost(EagerVerbs):
    def getitem(self, x, index):
        return x[index].clone()


class DataSharesItsCounter(EagerVerbs):
    def data(self, x):
        return x.detach()


class NoGradDoesNothing(EagerVerbs):
    def guard(self, name):
        return nullcontext() if name == "no_grad" else super().guard(name)


class GradOverwritten(FAKES["overwrites"].verbs):
    pass


class LeafHasHistory(EagerVerbs):
    def leaf(self, data, *, dtype=None, layout="contiguous"):
        return super().leaf(data, dtype=dtype, layout=layout) * 1


class CloneIsRowMajor(EagerVerbs):
    def attempt(self, callee, args, kwargs):
        result = super().attempt(callee, args, kwargs)
        if callee == "clone" and type(result) is not Raised:
            return result.contiguous()
        return result


class OverlapAccepted(EagerVerbs):
    def attempt(self, callee, args, kwargs):
        result = super().attempt(callee, args, kwargs)
        if type(result) is Raised and result.kind == "overlapping_write":
            return args[0]
        return result


class HalfDone(EagerVerbs):
    def attempt(self, callee, args, kwargs):
        result = super().attempt(callee, args, kwargs)
        if type(result) is Raised and result.kind == "shape_mismatch" and self.is_array(args[0]):
            args[0].data.zero_()
        return result


class OtherKind(EagerVerbs):
    def attempt(self, callee, args, kwargs):
        result = super().attempt(callee, args, kwargs)
        if type(result) is Raised and result.kind == "graph_freed":
            return Raised("argument", result.type, result.message)
        return result


class WrongDtype(EagerVerbs):
    def to(self, x, dtype):
        return super().to(x, "float32" if dtype == "float64" else dtype)


class ValueOff(EagerVerbs):
    def attempt(self, callee, args, kwargs):
        result = super().attempt(callee, args, kwargs)
        if callee == "sub" and type(result) is not Raised and result.numel() > 2:
            result.data.reshape(-1)[-1] += 1
        return result


class DetachKeepsHistory(EagerVerbs):
    def attempt(self, callee, args, kwargs):
        if callee == "detach":
            return args[0].view(args[0].shape)
        return super().attempt(callee, args, kwargs)


class NumpyCopies(EagerVerbs):
    def numpy(self, x):
        return x.numpy().copy()


class FromNumpyCopies(EagerVerbs):
    def from_numpy(self, a):
        return self.api.tensor(a)


class ResetForgotten(EagerVerbs):
    def zero_grad(self, x):
        pass


class RetainGradForgotten(EagerVerbs):
    def retain_grad(self, x):
        pass


class GraphNotRecorded(EagerVerbs):
    def grad(self, y, xs, ct=None, *, create_graph=False, retain_graph=None, **more):
        keep = create_graph if retain_graph is None else retain_graph
        return super().grad(y, xs, ct, retain_graph=keep, **more)


class SetitemSkipped(EagerVerbs):
    def setitem(self, x, index, value):
        x[index]


class FlagIgnored(EagerVerbs):
    def requires_grad_(self, x, flag=True):
        return x.requires_grad_() if flag else x


FAULTS = {
    fault.__name__: fault
    for fault in (
        VersionNotCounted, AliasLost, DataSharesItsCounter, NoGradDoesNothing, GradOverwritten,
        LeafHasHistory, CloneIsRowMajor, OverlapAccepted, HalfDone, OtherKind, WrongDtype, ValueOff,
        DetachKeepsHistory, NumpyCopies, FromNumpyCopies, ResetForgotten, RetainGradForgotten,
        GraphNotRecorded, SetitemSkipped, FlagIgnored,
    )
} | {
    f"fake:{name}": FAKES[name].verbs
    for name in ("always_frees", "inplace", "grad_aliases") if name in FAKES
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_difference_is_found_and_shrinks_to_six_steps(name):
    pair = Pair(REFERENCE, Planted(FAULTS[name]), OPS)
    for number in range(MOST):
        played = pair.play(Seeded(0, number), STEPS)
        failure = pair.failure(played.steps) if played.suspect else None
        if failure:
            break
    else:
        pytest.fail(f"not found within {MOST} programs")
    short = shortest(pair, played.steps, failure)
    assert short.cause == failure.cause
    assert len(short.program.steps) <= 6, short.program.text
    again = Program.parse(short.program.text)
    assert pair.failure(again.steps).cause == short.cause


# what the programs are ---------------------------------------------------------------------------


def test_programs_have_every_kind_of_step_and_reach_every_kind_of_error():
    pair = Pair(REFERENCE, REFERENCE, OPS)
    kinds, raised = Counter(), Counter()
    for number in range(1000):        # the rarest kinds come once in some hundreds
        built = pair.make(Seeded(3, number), STEPS)
        kinds += built.kinds
        raised += Counter(built.raised)
        assert len(built.steps) <= STEPS + 4  # a recipe of several steps may pass the end
    assert REACHED <= raised.keys()
    assert set(raised) <= set(load_specs().vocabulary["error_kinds"])
    for kind in ["leaf", "tensor", "operation", "view", "detach", "write", "setitem", "getitem", "data", "no_grad", "enable_grad", "backward", "grad", "retain_graph", "create_graph", "retain_grad", "requires_grad_", "numpy", "from_numpy", "np_setitem", "look", "refused", "to"]:
        assert kinds[kind], kind
    assert kinds["write to .data"]
    assert kinds["reset .grad"]
    assert kinds["read .grad"]
    assert kinds["refused operation"]


def test_the_reference_agrees_with_itself():
    pair = Pair(REFERENCE, REFERENCE, OPS)
    for number in range(60):
        played = pair.play(Seeded(1, number), STEPS)
        assert played.suspect in ("", "half done")  # a backward pass that is refused midway
        assert pair.failure(played.steps) is None


def test_a_program_is_the_same_for_the_same_seed_and_number_only():
    pair = Pair(REFERENCE, REFERENCE, OPS)
    texts = [
        program_of(pair.make(Seeded(seed, number), STEPS).steps).text
        for seed, number in ((5, 1), (5, 1), (5, 2), (6, 1))
    ]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


def test_a_program_is_its_text():
    pair = Pair(REFERENCE, REFERENCE, OPS)
    for number in range(40):
        program = program_of(pair.make(Seeded(2, number), STEPS).steps)
        assert Program.parse(program.text).steps == program.steps


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn(lambda draw: Pair(REFERENCE, REFERENCE, OPS).make(draw, 8).steps))
def test_hypothesis_draws_programs_too(steps):
    assert Pair(REFERENCE, REFERENCE, OPS).failure(steps) is None


def test_torch_agrees_on_random_programs():
    pytest.importorskip("torch")
    from conformance.backends.registry import open_backend

    pair = Pair(REFERENCE, open_backend("torch"), OPS)
    for number in range(250):
        played = pair.play(Seeded(0, number), STEPS)
        if played.suspect:
            failure = pair.failure(played.steps)
            assert failure is None, f"{failure}\n{failure and failure.program.text}"


# regressions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(REGRESSIONS.glob("*.json")), ids=lambda path: path.stem)
def test_a_regression_says_why(path):
    assert Regression.read(path).why


@pytest.mark.parametrize("backend", ["torch"])
def test_regressions_are_as_recorded(backend):
    pytest.importorskip(backend)
    replayed, broken = replay_all(backend)
    assert not broken
    assert replayed == len(regressions(REGRESSIONS, backend))


def test_a_regression_that_changed_is_told():
    pair = Pair(REFERENCE, Planted(ValueOff), OPS)
    program = Program.parse("a = tensor([1.0, 2.0, 3.0])\nb = sub(a, 1)")
    failure = pair.failure(program.steps)
    mended = Regression("r", "planted", program, "", "was wrong")
    assert replay(mended, None) == ""
    assert "expected no difference, found 'sub: value'" in replay(mended, failure)
    known = Regression("r", "planted", program, "sub: value", "is wrong")
    assert replay(known, failure) == ""
    assert "found no difference" in replay(known, None)


def test_a_file_that_is_no_regression_is_named(tmp_path):
    path = tmp_path / "x.json"
    for text in ("{", "{}", '{"format": "conformance-regression/1", "program": ["a +"]}'):
        path.write_text(text)
        with pytest.raises(FuzzError, match="x.json: not a regression"):
            Regression.read(path)


def test_a_script_shows_the_difference():
    pair = Pair(REFERENCE, Planted(WrongDtype), OPS)
    program = Program.parse("a = leaf([1.0], dtype='float32')\nb = to(a, 'float64')")
    text = script("reference", pair.failure(program.steps))
    assert "import reference_impl as torch" in text
    assert "print(b.dtype)  # float32; expected float64" in text


# the command -------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(cli, ["fuzz", *arguments])


def test_the_command_passes_on_the_reference(tmp_path):
    done = run("--backend", "reference", "--programs", "30", "--out", str(tmp_path))
    assert done.return_value is None or done.return_value == 0
    assert "reference: 30 programs" in done.output
    assert "graph_freed" in done.output
    assert not list(tmp_path.rglob("*.json"))


def test_a_crash_is_survived_shrunk_and_written(tmp_path):
    from conformance.cli import status_of

    arguments = ["fuzz", "--backend", "fake:abort", "--programs", "2", "--steps", "3"]
    assert status_of([*arguments, "--out", str(tmp_path)]) == 1
    (found, *_) = sorted(tmp_path.rglob("*.json"))
    data = json.loads(found.read_text())
    assert data["cause"].endswith(": crash")
    assert len(data["program"]) <= 3


def test_a_library_without_torchs_surface_is_refused_in_one_line(capsys):
    pytest.importorskip("jax")
    from conformance.cli import status_of

    assert status_of(["fuzz", "--backend", "jax", "--programs", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("conformance: jax: random programs write in place")


def test_bad_input_is_one_line(capsys, tmp_path):
    from conformance.cli import status_of

    assert status_of(["fuzz", "--backend", "torhc"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert status_of(["fuzz", "--steps", "2"]) == 2
    assert status_of(["fuzz", "--backend", "fake:unavailable", "--out", str(tmp_path)]) == 2
