"""The fewest paths that give every sample wanted: an integer program, by HiGHS."""

from collections.abc import Sequence

import numpy as np


def exact(paths: Sequence[Sequence[int]], wanted: Sequence[int]) -> list[int]:
    """The smallest selection. Raises ModuleNotFoundError, saying how to install it, where scipy is not."""
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 - one selector of several needs it
        from scipy.sparse import csr_array  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ModuleNotFoundError("exact selection needs scipy; please type: make experiments") from None
    entries = [(task, path) for path, tasks in enumerate(paths) for task in tasks]
    if not entries:
        return []
    rows, columns = zip(*entries, strict=True)
    having = csr_array((np.ones(len(entries)), (rows, columns)), shape=(len(wanted), len(paths)))
    # No more than there is: a task that too few paths have must not make the program infeasible.
    needed = np.minimum(wanted, having.sum(axis=1))
    found = milp(
        np.ones(len(paths)),
        integrality=np.ones(len(paths)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(having, lb=needed),
        options={"mip_rel_gap": 0},
    )
    if not found.success:
        raise RuntimeError(f"no selection was found: {found.message}")
    return [int(path) for path in np.flatnonzero(found.x > 0.5)]
