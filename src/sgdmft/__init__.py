"""Dynamical mean field theory of stochastic gradient descent on high-dimensional glassy landscapes.

>>> import sgdmft as sg
>>> model = sg.GaussianLeastSquares(alpha=2.5)
>>> theory = sg.solve(model, sg.SGD(learning_rate=0.1, batch_fraction=0.3), steps=20)
>>> print(f"{theory.magnetization[-1]:.6f}")
0.540495
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the names are in `__init__.pyi`
