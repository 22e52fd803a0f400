"""torch.linalg, as far as it goes."""

from reference_impl.rule import OPERATIONS

cholesky = OPERATIONS["linalg_cholesky"].function
solve = OPERATIONS["linalg_solve"].function
