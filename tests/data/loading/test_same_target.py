"""Siblings: others with the same target, all of them, and oneself if there is none."""

import numpy as np

from recbole_intent.data.loading.same_target import SameTarget


def test_a_sibling_has_the_same_target_and_is_another_one():
    targets = np.array([4, 2, 4, 7, 4, 2, 9])
    siblings, rng = SameTarget(targets), np.random.default_rng(0)
    drawn = np.stack([siblings.draw(np.arange(7), rng) for _ in range(200)])
    assert (targets[drawn] == targets).all()
    for sample, found in enumerate(drawn.T):
        others = {*np.flatnonzero(targets == targets[sample])} - {sample}
        assert {*found} == (others or {sample})
    some = siblings.draw(np.array([5, 0, 5]), rng)
    assert some.tolist()[::2] == [1, 1]
    assert some[1] in (2, 4)
