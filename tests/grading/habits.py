"""What anybody's function may do beside being right: print, warn, work in single precision, give back other forms."""

import warnings

import numpy as np


def noisy(function):
    """The function with prints and warnings on the way."""

    def with_noise(*given):
        print("on its way")
        warnings.warn("something is deprecated", DeprecationWarning, stacklevel=1)
        np.log(np.zeros(2))  # a RuntimeWarning
        np.exp(np.full(2, 1e4))  # overflows, with another
        return function(*given)

    return with_noise


def changed(value, change):
    """A value with all its arrays changed."""
    if isinstance(value, (list, tuple)):
        return type(value)(changed(item, change) for item in value)
    return change(value) if isinstance(value, np.ndarray) else value


def given_back(function, change):
    """The function with its arrays in another form."""
    return lambda *given: changed(function(*given), change)


def single(value):
    """A floating array in single precision; any other as it is."""
    return value.astype(np.float32) if value.dtype == float else value


def in_float32(function):
    """The function in single precision wherever floating arrays come in."""
    return lambda *given: function(*(changed(argument, single) for argument in given))


def in_many_hands(plain, **others):
    """The ways of writing that suit every function, and those of one question."""
    return {
        "plain": plain,
        "float32": in_float32(plain),
        "prints and warnings": noisy(plain),
        "nested lists": given_back(plain, np.ndarray.tolist),
        "Fortran order": given_back(plain, np.asfortranarray),
        **others,
    }
