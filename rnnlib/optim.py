"""From gradients to better parameters: optimisers, clipping, and schedules of the learning rate.

An optimiser changes the arrays it was given in place, so that the layers that own them see it. Clipping is a step of
its own between backward and `step`: nothing is clipped in secret. Losses and data do not come in here.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

Gradients = Mapping[str, np.ndarray]
Schedule = Callable[[int], float]


class Optimizer:
    """What every optimiser does around its own formula: check the gradients, count steps, keep and restore memory.

    Args:
        parameters: by name; `step` changes these arrays in place.
        learning_rate: η, used where `step` is given none.
        weight_decay: λ, added to the loss as λ/2 ‖θ‖².
        memory: the names of what the optimiser remembers for each parameter.

    Attributes:
        parameters, learning_rate, weight_decay: as given.
        steps: how many steps were taken.
        memory: arrays shaped like the parameters, by what they are and then by parameter.

    Raises:
        TypeError: a parameter is not a floating NumPy array.
        ValueError: a parameter is read-only or stands there twice, or a number is out of range.
    """

    def __init__(
        self,
        parameters: dict[str, np.ndarray],
        learning_rate: float,
        weight_decay: float,
        memory: tuple[str, ...],
    ) -> None:
        if not isinstance(parameters, Mapping):
            raise TypeError(
                f"parameters is a {type(parameters).__name__}: expected arrays by name, such as model.parameters"
            )
        owners: dict[int, str] = {}
        for name, parameter in parameters.items():
            if not isinstance(parameter, np.ndarray) or parameter.dtype.kind != "f":
                kind = getattr(parameter, "dtype", type(parameter).__name__)
                raise TypeError(f"parameter {name!r} is {kind}: expected a NumPy array of floating point numbers")
            if not parameter.flags.writeable:
                raise ValueError(f"parameter {name!r} is read-only: an optimiser changes it in place; copy it first")
            if id(parameter) in owners:
                raise ValueError(
                    f"parameters {owners[id(parameter)]!r} and {name!r} are the same array, which would take two steps "
                    "at once; list it under one name and add its gradients up"
                )
            owners[id(parameter)] = name
        self.parameters, self.steps = parameters, 0
        self.learning_rate = at_least_zero("learning_rate", learning_rate)
        self.weight_decay = at_least_zero("weight_decay", weight_decay)
        self.memory = {
            what: {name: np.zeros(parameter.shape, parameter.dtype) for name, parameter in parameters.items()}
            for what in memory
        }

    def step(self, gradients: Gradients, learning_rate: float | None = None) -> None:
        """Take one step downhill; where it raises, nothing has been changed.

        Args:
            gradients: one for each parameter, under its name, of its shape and dtype.
            learning_rate: for this step, from a schedule; None: the optimiser's own.

        Raises:
            FloatingPointError: a gradient is not finite.
            KeyError: the gradients have other names than the parameters.
            TypeError: a gradient has another dtype than its parameter.
            ValueError: a gradient has another shape than its parameter, or the rate is negative or not finite.
        """
        rate = self.learning_rate if learning_rate is None else at_least_zero("learning_rate", learning_rate)
        self.check(gradients)
        self.steps += 1
        for name, parameter in self.parameters.items():
            self.update(name, parameter, self.decay(parameter, gradients[name], rate), rate)

    def check(self, gradients: Gradients) -> None:
        """Whether these gradients belong to these parameters; errors as in `step`."""
        if gradients.keys() != self.parameters.keys():
            missing = [name for name in self.parameters if name not in gradients]
            unknown = [name for name in gradients if name not in self.parameters]
            raise KeyError(
                f"the gradients have other names than the parameters: missing {missing}, unknown {unknown}; "
                "a parameter that the loss does not depend on has a gradient of zeros"
            )
        for name, parameter in self.parameters.items():
            gradient = gradients[name]
            if np.shape(gradient) != parameter.shape:
                raise ValueError(
                    f"the gradient of {name!r} has shape {np.shape(gradient)}: expected that of the parameter, "
                    f"{parameter.shape}; was it summed over the batch, and only over the batch?"
                )
            kind = getattr(gradient, "dtype", type(gradient).__name__)
            if not isinstance(gradient, np.ndarray) or kind != parameter.dtype:
                raise TypeError(
                    f"the gradient of {name!r} is {kind}: expected {parameter.dtype} as its parameter; convert the "
                    "data, so that all of backward runs in one dtype"
                )
            if not np.isfinite(gradient).all():
                at = tuple(np.argwhere(~np.isfinite(gradient))[0].tolist())
                raise FloatingPointError(
                    f"the gradient of {name!r} is {gradient[at]} at {at}: no step was taken; look at the loss and at "
                    "the norm before clipping, lower the learning rate, or skip this batch"
                )

    def decay(self, parameter: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        """The gradient with weight decay in it."""
        # g = ∂L/∂θ + λ θ
        return gradient + self.weight_decay * parameter if self.weight_decay else gradient

    def update(self, name: str, parameter: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        """The optimiser's formula for one parameter."""
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray]:
        """Everything a resumed run needs beside the parameters, as copies: `steps`, `learning_rate`, `memory.name`."""
        scalars = {"steps": np.array(self.steps), "learning_rate": np.array(self.learning_rate)}
        return scalars | {key: array.copy() for key, array in self.flat_memory().items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on where `state` was taken; where it raises, nothing has been changed.

        Raises:
            KeyError: the state is that of another optimiser or of other parameters.
            ValueError: an array has another shape or dtype.
        """
        flat = self.flat_memory()
        if set(state) != {"steps", "learning_rate", *flat}:
            differ = sorted(set(state) ^ {"steps", "learning_rate", *flat})
            raise KeyError(f"this state belongs to another optimiser or to other parameters: {differ} do not match")
        for key, array in flat.items():
            if state[key].shape != array.shape or state[key].dtype != array.dtype:
                raise ValueError(
                    f"state {key!r} is {state[key].dtype} {state[key].shape}: expected {array.dtype} {array.shape}"
                )
        self.steps, self.learning_rate = int(state["steps"]), float(state["learning_rate"])
        for key, array in flat.items():
            array[...] = state[key]

    def flat_memory(self) -> dict[str, np.ndarray]:
        """The memory's own arrays under one flat name each."""
        return {f"{what}.{name}": array for what, arrays in self.memory.items() for name, array in arrays.items()}


class SGD(Optimizer):
    """Gradient descent on mini-batches, with momentum μ.

    Args:
        parameters, learning_rate, weight_decay: see `Optimizer`.
        momentum: μ, how much of the last step goes on; 0: none.
        nesterov: look at the gradient where momentum is about to lead.

    Raises:
        ValueError: see `Optimizer`, or nesterov without momentum.

    Reference:
        Polyak (1964), Some methods of speeding up the convergence of iteration methods. Sutskever et al. (2013), On the
        importance of initialization and momentum in deep learning: Nesterov's form. The rate stands outside of the
        velocity, as in torch.
    """

    def __init__(
        self,
        parameters: dict[str, np.ndarray],
        learning_rate: float = 1e-2,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.momentum, self.nesterov = below_one("momentum", momentum), nesterov
        if nesterov and not momentum:
            raise ValueError("nesterov looks ahead along the momentum, and momentum is 0: try momentum=0.9")
        super().__init__(parameters, learning_rate, weight_decay, ("velocity",) if momentum else ())

    def update(self, name: str, parameter: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        if self.momentum:
            # v = μ v + g
            v = self.memory["velocity"][name]
            v *= self.momentum
            v += gradient
            # g = g + μ v with Nesterov, g = v without
            gradient = gradient + self.momentum * v if self.nesterov else v
        # θ = θ - η g
        parameter -= rate * gradient


class RMSprop(Optimizer):
    """Every entry gets a step of about η, whatever the size of its gradient.

    Args:
        parameters, learning_rate, weight_decay: see `Optimizer`.
        alpha: how slowly the mean of squares forgets.
        eps: keeps the step finite where the gradient was always zero.

    Raises:
        ValueError: see `Optimizer`, or alpha or eps is out of range.

    Reference:
        Tieleman and Hinton (2012), Lecture 6.5: rmsprop.
    """

    def __init__(
        self,
        parameters: dict[str, np.ndarray],
        learning_rate: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.alpha, self.eps = (
            below_one("alpha", alpha),
            above_zero("eps", eps, "or an entry without a gradient takes a step of 0/0"),
        )
        super().__init__(parameters, learning_rate, weight_decay, ("mean_square",))

    def update(self, name: str, parameter: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        # v = α v + (1 - α) g²
        v = self.memory["mean_square"][name]
        v *= self.alpha
        v += (1 - self.alpha) * gradient * gradient
        # θ = θ - η g / (√v + eps)
        parameter -= rate * gradient / (np.sqrt(v) + self.eps)


class Adam(Optimizer):
    """RMSprop with momentum, both corrected for having started at zero.

    Args:
        parameters, learning_rate, weight_decay: see `Optimizer`.
        betas: how slowly the mean of gradients and the mean of squares forget.
        eps: keeps the step finite where the gradient was always zero.

    Raises:
        ValueError: see `Optimizer`, or a beta or eps is out of range.

    Reference:
        Kingma and Ba (2015), Adam: a method for stochastic optimization, algorithm 1.
    """

    def __init__(
        self,
        parameters: dict[str, np.ndarray],
        learning_rate: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.betas = below_one("betas[0]", betas[0]), below_one("betas[1]", betas[1])
        self.eps = above_zero("eps", eps, "or an entry without a gradient takes a step of 0/0")
        super().__init__(parameters, learning_rate, weight_decay, ("mean", "mean_square"))

    def update(self, name: str, parameter: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        m, v = self.memory["mean"][name], self.memory["mean_square"][name]
        beta_1, beta_2 = self.betas
        # m = β₁ m + (1 - β₁) g
        m *= beta_1
        m += (1 - beta_1) * gradient
        # v = β₂ v + (1 - β₂) g²
        v *= beta_2
        v += (1 - beta_2) * gradient * gradient
        # θ = θ - η m̂ / (√v̂ + eps), m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)
        denominator = np.sqrt(v) / math.sqrt(1 - beta_2**self.steps) + self.eps
        parameter -= rate / (1 - beta_1**self.steps) * m / denominator


class AdamW(Adam):
    """Adam whose weight decay is not divided by the mean of squares: every weight shrinks by the same factor.

    Args and errors as in `Adam`; weight_decay is 0.01 unless given.

    Reference:
        Loshchilov and Hutter (2019), Decoupled weight decay regularization, algorithm 2.
    """

    def __init__(
        self,
        parameters: dict[str, np.ndarray],
        learning_rate: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, learning_rate, betas=betas, eps=eps, weight_decay=weight_decay)

    def decay(self, parameter: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        # θ = θ - η λ θ
        parameter *= 1 - rate * self.weight_decay
        return gradient


def global_norm(gradients: Gradients) -> float:
    """√(Σ g²) over all entries of all gradients; it overflows only where the norm itself does.

    A gradient that is not finite makes the norm not finite.
    """
    largest = np.max([np.abs(g).max(initial=0) for g in gradients.values()] or [0.0]).astype(np.float64)
    if largest == 0 or not np.isfinite(largest):
        return float(largest)
    # ‖g‖ = a √(Σ (g / a)²), a = max |g|
    squares = ((g / largest).ravel() for g in gradients.values())
    return float(largest) * math.sqrt(sum(float(s @ s) for s in squares))


def clip_by_global_norm(gradients: Gradients, max_norm: float) -> tuple[dict[str, np.ndarray], float]:
    """Shrink all gradients by one factor if together they are longer than max_norm: the direction stays.

    Args:
        gradients: by name; they are not changed.
        max_norm: above 0; infinity only measures.

    Returns:
        clipped: by name; the same arrays where nothing had to shrink. If the norm is not finite they come back as they
            are, since a factor of max_norm / ∞ would turn them into zeros and hide it: what then happens is the
            caller's decision, and `Optimizer.step` refuses them.
        norm: before clipping.

    Raises:
        ValueError: max_norm is not above 0.

    Reference:
        Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural networks, algorithm 1.
    """
    max_norm = above_zero("max_norm", max_norm, "or every gradient becomes zero")
    norm = global_norm(gradients)
    if not max_norm < norm < math.inf:
        return dict(gradients), norm
    # g = g c / ‖g‖ where ‖g‖ > c
    return {name: g * (max_norm / norm) for name, g in gradients.items()}, norm


def clip_by_value(gradients: Gradients, limit: float) -> tuple[dict[str, np.ndarray], float]:
    """Cut every entry to ±limit: the direction changes, towards a corner.

    Returns:
        clipped: by name, the gradients as they are if their norm is not finite, as in `clip_by_global_norm`.
        norm: the global norm before clipping.

    Raises:
        ValueError: the limit is not above 0.

    Reference:
        Mikolov (2012), Statistical language models based on neural networks.
    """
    limit = above_zero("limit", limit, "or every gradient becomes zero")
    norm = global_norm(gradients)
    if not math.isfinite(norm):
        return dict(gradients), norm
    # g_i = min(max(g_i, -c), c)
    return {name: np.clip(g, -limit, limit) for name, g in gradients.items()}, norm


def clip_per_tensor_norm(gradients: Gradients, max_norm: float) -> tuple[dict[str, np.ndarray], float]:
    """Shrink each gradient that alone is longer than max_norm: directions stay within an array, not between arrays.

    Returns:
        clipped: by name, the gradients as they are if their norm is not finite, as in `clip_by_global_norm`.
        norm: the global norm before clipping.

    Raises:
        ValueError: max_norm is not above 0.
    """
    max_norm = above_zero("max_norm", max_norm, "or every gradient becomes zero")
    norm = global_norm(gradients)
    if not math.isfinite(norm):
        return dict(gradients), norm
    # g_k = g_k c / ‖g_k‖ where ‖g_k‖ > c, for each array k
    return {name: clip_by_global_norm({name: g}, max_norm)[0][name] for name, g in gradients.items()}, norm


def constant(factor: float = 1.0) -> Schedule:
    """f(t) = factor.

    Every schedule here takes the number t of steps already taken, 0 at the first, and returns what to multiply the
    learning rate with: `optimizer.step(gradients, learning_rate=1e-3 * schedule(t))`.

    Raises:
        ValueError: the factor is negative or not finite.
    """
    at_least_zero("factor", factor)
    return lambda t: factor


def linear_warmup(steps: int, then: Schedule | None = None) -> Schedule:
    """f(t) = (t + 1) / steps while t < steps, and then(t - steps) from there on.

    `linear_warmup(100, then=cosine_decay(900))` is the usual schedule of 1000 steps. It starts above zero, because a
    first step of length zero would be a batch wasted.

    Args:
        steps: how many steps the rise takes.
        then: the schedule that follows, counted from 0 again; None: it stays at 1.

    Raises:
        ValueError: steps is below 1.

    Reference:
        Goyal et al. (2017), Accurate, large minibatch SGD: training ImageNet in 1 hour, section 2.2.
    """
    at_least_one("steps", steps)
    after = constant() if then is None else then
    return lambda t: (t + 1) / steps if t < steps else after(t - steps)


def cosine_decay(steps: int, floor: float = 0.0) -> Schedule:
    """f(t) = floor + (1 - floor) (1 + cos(π t / steps)) / 2 while t < steps, and floor from there on.

    Args:
        steps: how many steps the fall takes.
        floor: the factor at its end.

    Raises:
        ValueError: steps is below 1, or the floor is not from 0 to 1.

    Reference:
        Loshchilov and Hutter (2017), SGDR: stochastic gradient descent with warm restarts, equation 5.
    """
    at_least_one("steps", steps)
    if not 0 <= floor <= 1:
        raise ValueError(f"floor is {floor}: expected a factor from 0 to 1")
    return lambda t: floor + (1 - floor) * (1 + math.cos(math.pi * min(t, steps) / steps)) / 2


def step_decay(every: int, factor: float = 0.1) -> Schedule:
    """f(t) = factor^⌊t / every⌋: the rate falls at once, after every so many steps.

    Raises:
        ValueError: every is below 1, or the factor is negative or not finite.
    """
    at_least_one("every", every)
    at_least_zero("factor", factor)
    return lambda t: factor ** (t // every)


def at_least_zero(name: str, value: float) -> float:
    """The value as a Python float, which NumPy lets follow the dtype of an array.

    Raises:
        ValueError: it is negative or not finite.
    """
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value}: expected a finite number, 0 or more")
    return float(value)


def below_one(name: str, value: float) -> float:
    """The value as a Python float.

    Raises:
        ValueError: it is not from 0 to below 1.
    """
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}: expected a number from 0 to below 1; at 1 nothing would be forgotten")
    return float(value)


def above_zero(name: str, value: float, why: str) -> float:
    """The value as a Python float.

    Raises:
        ValueError: it is not above 0.
    """
    if not value > 0:
        raise ValueError(f"{name} is {value}: expected a number above 0, {why}")
    return float(value)


def at_least_one(name: str, value: int) -> None:
    """A number of steps.

    Raises:
        ValueError: it is below 1.
    """
    if value < 1:
        raise ValueError(f"{name} is {value}: expected at least one step")
