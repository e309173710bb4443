"""The part of a decoder that looks back at the source: attention, and its context mixed into what the decoder holds.

    a_t = tanh(W_combine [h_t; c_t] + b_combine)

Reference:
    Luong, Pham and Manning (2015), Effective approaches to attention-based neural machine translation, equation 5.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from rnnlib import init
from rnnlib.attention import (
    Memory,
    additive_backward,
    additive_forward,
    dot_backward,
    dot_forward,
    project_keys_backward,
    project_keys_forward,
    remember,
)
from rnnlib.layers import LinearCache, linear_backward, linear_forward

ATTENTIONS = "dot", "additive"


class AttendingCache(NamedTuple):
    attention: Any
    combine: LinearCache
    a: np.ndarray


class Attending:
    """Attention of every query over one memory.

    Args:
        kind: "dot" or "additive".
        size: H, of queries and keys alike.
        dtype: of the parameters.
        rng: draws their initial values, uniform in ±1/√(inputs).

    Attributes:
        parameters: combine.weight (H, 2H) and combine.bias (H,); with additive attention also query.weight (H, H),
            key.weight (H, H) and score.weight (H,).

    Raises:
        ValueError: the kind is unknown.
    """

    def __init__(self, kind: str, size: int, *, dtype: DTypeLike, rng: np.random.Generator) -> None:
        if kind not in ATTENTIONS:
            raise ValueError(f"attention is {kind!r}: expected 'dot', 'additive' or None")
        shapes: dict[str, tuple[int, ...]] = {"combine.weight": (size, 2 * size), "combine.bias": (size,)}
        if kind == "additive":
            shapes |= {"query.weight": (size, size), "key.weight": (size, size), "score.weight": (size,)}
        self.kind = kind
        self.parameters = {
            name: init.uniform(shape, rng, dtype, bound=1 / np.sqrt(shape[-1])) for name, shape in shapes.items()
        }

    def remember(self, hs: np.ndarray, lengths: ArrayLike | None) -> tuple[Memory, Any]:
        """What all queries will read, (Tk, N, H) with lengths (N,), and a cache for `backward`."""
        memory = remember(hs, hs, lengths)
        if self.kind == "dot":
            return memory, None
        return project_keys_forward(memory, self.parameters["key.weight"])

    def forward(self, queries: np.ndarray, memory: Memory) -> tuple[np.ndarray, np.ndarray, AttendingCache]:
        """Queries (Tq, N, H) give a (Tq, N, H), the weights (Tq, N, Tk), and the cache for `backward`."""
        attended: Any
        if self.kind == "dot":
            context, weights, attended = dot_forward(queries, memory)
        else:
            W_query, v = self.parameters["query.weight"], self.parameters["score.weight"]
            context, weights, attended = additive_forward(queries, memory, W_query, v)
        # a = tanh(W_combine [h; c] + b_combine)
        both = np.concatenate([queries, context], axis=-1)
        y, combined = linear_forward(both, self.parameters["combine.weight"], self.parameters["combine.bias"])
        a = np.tanh(y)
        return a, weights, AttendingCache(attended, combined, a)

    def backward(
        self, da: np.ndarray, cache: AttendingCache, key_cache: Any
    ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """The gradients of the queries, of what was remembered, and of the parameters by name.

        Args:
            da: (Tq, N, H).
            cache: from `forward`.
            key_cache: from `remember`.
        """
        attended, combined, a = cache
        # d[h; c] = W_combineᵀ (da ⊙ (1 - a²))
        dboth, dW, db = linear_backward(da * (1 - a * a), combined)
        H, gradients = a.shape[-1], {"combine.weight": dW, "combine.bias": db}
        dqueries, dcontext = dboth[..., :H], np.ascontiguousarray(dboth[..., H:])
        if self.kind == "dot":
            of_queries, dkeys, dvalues = dot_backward(dcontext, attended)
        else:
            of_queries, dprojected, dvalues, dW_query, dv = additive_backward(dcontext, attended)
            dkeys, dW_key = project_keys_backward(dprojected, key_cache)
            gradients |= {"query.weight": dW_query, "key.weight": dW_key, "score.weight": dv}
        return dqueries + of_queries, dkeys + dvalues, gradients

    def describe(self) -> dict[str, Any]:
        """What its parameters do not say."""
        return {"kind": self.kind}
