import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from welltuned.attention import extracting
from welltuned.errors import UsageError

quick = settings(deadline=None, max_examples=40)
WIDTH = 10
seeds = st.integers(0, 2**32 - 1)
ranks = st.integers(1, WIDTH // 2)
shares = st.floats(0.05, 1)

MADE_FOR = {
    "A orthonormal": (extracting.orthonormal, extracting.orthogonal, extracting.independent),
    "A orthogonal": (extracting.orthogonal, extracting.independent),
    "A independent": (extracting.independent,),
}


def vectors(kind: str, seed: int, rank: int) -> tuple[torch.Tensor, ...]:
    """Bases A, B and a vector in the span of each."""
    generator = torch.Generator().manual_seed(seed)
    a, b = extracting.random_bases(kind, WIDTH, rank, generator)
    along_a, along_b = (torch.randn(rank, generator=generator, dtype=torch.float64) for _ in "ab")
    return a, b, a @ along_a, b @ along_b


def assert_same(found: torch.Tensor, wanted: torch.Tensor, condition: float = 1.0) -> None:
    atol = 1e-13 * condition * (1 + float(wanted.norm()))
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


@pytest.mark.parametrize("kind", MADE_FOR)
@quick
@given(seed=seeds, rank=ranks, share=shares)
def test_each_formula_is_exact_on_the_bases_it_is_made_for(kind, seed, rank, share):
    a, _, v_a, v_b = vectors(kind, seed, rank)
    mix = share * v_a + (1 - share) * v_b
    for formula in MADE_FOR[kind]:
        assert_same(formula(a, share) @ mix, v_a, 100 / share)


@pytest.mark.parametrize("kind", extracting._KINDS)
@quick
@given(seed=seeds, rank=ranks, share=shares)
def test_the_oblique_formula_is_exact_on_all(kind, seed, rank, share):
    a, b, v_a, v_b = vectors(kind, seed, rank)
    condition = float(torch.linalg.cond(torch.cat([a, b], dim=1)))
    m = extracting.oblique(a, b, share)
    assert_same(m @ (share * v_a + (1 - share) * v_b), v_a, 100 * condition**2 / share)


@quick
@given(seeds, ranks)
def test_without_the_two_half_of_it_returns(seed, rank):
    a, _, v_a, v_b = vectors("A orthonormal", seed, rank)
    assert_same(a @ a.T @ (v_a + v_b) / 2, v_a / 2)
    assert_same(extracting.orthonormal(a, share=1.0), a @ a.T)


@quick
@given(seeds, ranks)
def test_the_formulas_are_the_sums_of_the_docstring(seed, rank):
    a, *_ = vectors("A orthogonal", seed, rank)
    columns = a.T
    assert_same(extracting.orthonormal(a), 2 * sum(torch.outer(x, x) for x in columns), 100)
    assert_same(extracting.orthogonal(a), 2 * sum(torch.outer(x, x) / x.dot(x) for x in columns))


@quick
@given(seeds, ranks)
def test_the_independent_formula_is_the_normal_equations_and_a_projection(seed, rank):
    a, *_ = vectors("A independent", seed, rank)
    m = extracting.independent(a)
    wanted = 2 * a @ torch.linalg.solve(a.T @ a, a.T)
    condition = float(torch.linalg.cond(a)) ** 2
    assert_same(m, wanted, 100 * condition)
    half = m / 2
    assert_same(half @ half, half)


@quick
@given(seeds, ranks)
def test_the_oblique_formula_is_the_one_of_the_docstring(seed, rank):
    a, b, *_ = vectors("A not orthogonal to B", seed, rank)
    r = torch.eye(WIDTH, dtype=torch.float64) - b @ torch.linalg.solve(b.T @ b, b.T)
    wanted = 2 * a @ torch.linalg.solve(a.T @ r @ a, a.T @ r)
    condition = float(torch.linalg.cond(torch.cat([a, b], dim=1))) ** 2
    assert_same(extracting.oblique(a, b), wanted, 1000 * condition)


@quick
@given(seeds, ranks)
def test_the_orthogonal_projection_errs_by_what_of_v_b_lies_along_a(seed, rank):
    a, _, v_a, v_b = vectors("A not orthogonal to B", seed, rank)
    m = extracting.independent(a)
    assert_same(m @ (v_a + v_b) / 2 - v_a, m @ v_b / 2, 100)


def test_dependent_vectors_are_refused():
    twice = torch.ones(WIDTH, 2, dtype=torch.float64)
    with pytest.raises(UsageError, match="linearly dependent"):
        extracting.independent(twice)
    with pytest.raises(UsageError, match="linearly dependent"):
        extracting.oblique(twice[:, :1], twice[:, 1:])
    with pytest.raises(UsageError, match="do not fit"):
        extracting.measure(width=4, rank=3)


@pytest.mark.parametrize("kind", extracting._KINDS)
@quick
@given(seed=seeds, rank=ranks, share=shares)
def test_one_s_own_vectors_are_told_apart_and_extracted(kind, seed, rank, share):
    a, b, v_a, v_b = vectors(kind, seed, rank)
    own = extracting.extract(a, b, v_a, v_b, share)
    step = extracting._KINDS.index(kind)
    assert own.apart == (step < 3)
    if rank > 1 and step < 3:
        assert own.kind == kind.removeprefix("A ")
    condition = float(torch.linalg.cond(torch.cat([a, b], dim=1)))
    for row in own.returned[step + 1 :]:
        assert_same(row, v_a, 1000 * condition**2 / share)
    if step < 3:
        assert_same(own.returned[0], share * v_a, 1000 * condition**2)
    torch.testing.assert_close(own.error, (own.returned - v_a).norm(dim=1))
    assert own.formulas[1] == f"{1 / share:g} sum aa'"


def test_vectors_outside_their_span_are_refused():
    eye = torch.eye(4, dtype=torch.float64)
    a, b = eye[:, :1], eye[:, 1:2]
    for v_a, v_b, said in ((eye[1], eye[1], "v_a is no combination"), (eye[0], eye[0], "v_b is no combination")):
        with pytest.raises(UsageError, match=said):
            extracting.extract(a, b, v_a, v_b)
    with pytest.raises(UsageError, match="linearly dependent"):
        extracting.extract(a, a, eye[0], eye[0])
    for share in (0.0, 1.1):
        with pytest.raises(UsageError, match="the share"):
            extracting.extract(a, b, eye[0], eye[1], share)


def test_the_table_is_exact_on_and_right_of_its_staircase_and_wrong_left_of_it():
    result = extracting.measure(trials=5)
    for k in range(len(result.kinds)):
        assert (result.error[k, k + 1 :] < 1e-10).all()
        assert (result.error[k, : k + 1] > 1e-3).all()
    assert result.error[:3, 0].tolist() == pytest.approx([0.5] * 3)
    json.dumps(result.to_dict(), allow_nan=False)
    assert len(extracting.figure(result).axes) == 2
