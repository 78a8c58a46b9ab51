"""How much of a canary reached the outside, whatever it was wrapped in."""

from __future__ import annotations

CHANNELS = ("http", "tcp", "mailbox", "dns")
