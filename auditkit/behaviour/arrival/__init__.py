"""How much of a canary reached the outside, whatever it was wrapped in: a pure function of what left.

What counts is bytes, not intentions: a canary byte has arrived if it lies in a stretch of at least 8
consecutive canary bytes that somebody outside could read out of what was sent.
"""

from auditkit.behaviour.arrival.search import Arrival, arrived
from auditkit.behaviour.arrival.transfers import CHANNELS, Transfer, transfers

__all__ = ["CHANNELS", "Arrival", "Transfer", "arrived", "transfers"]
