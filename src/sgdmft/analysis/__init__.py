"""Questions to trajectories: comparison, thresholds, aging, the landscape along a run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["aging", "comparison", "landscape", "thresholds"])
