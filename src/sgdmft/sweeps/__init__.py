"""What many runs need: threads to run on side by side, a way to stop them, and a store of their results."""

from sgdmft.sweeps.executor import cores, interruptible, on_threads, side_by_side, uninterrupted
from sgdmft.sweeps.store import Store

__all__ = ["Store", "cores", "interruptible", "on_threads", "side_by_side", "uninterrupted"]
