"""What one looks at: numbers about states, gradients and weights, of this library's layers or of a learner's own step.

Everything takes plain arrays, layers or step functions and returns plain arrays. A step function is any
`step(x, state) -> state` on x (N, D) and a state (N, H), or a tuple of states such as (h, c). Pictures of these numbers
live in `rnnlib.viz`; what training makes small lives in `losses`.

    memory      what a state still knows of earlier inputs
    jacobians   ∂state/∂earlier state: norms, singular values, growth, by lag
    gates       how open the gates are, and what is saturated
    surfaces    the loss over a plane through the parameters
"""

from rnnlib.probes.gates import gate_activations, gate_saturation, saturation
from rnnlib.probes.jacobians import (
    gradient_norms,
    growth_rates,
    jacobians,
    lag_products,
    singular_values,
    spectral_radius,
    step_gradient_norms,
    step_of,
)
from rnnlib.probes.memory import past_readout, recall
from rnnlib.probes.surfaces import Surface, loss_surface, random_direction

__all__ = [
    "Surface",
    "gate_activations",
    "gate_saturation",
    "gradient_norms",
    "growth_rates",
    "jacobians",
    "lag_products",
    "loss_surface",
    "past_readout",
    "random_direction",
    "recall",
    "saturation",
    "singular_values",
    "spectral_radius",
    "step_gradient_norms",
    "step_of",
]
