"""The rules of the contract. Each raises `PluginError` that says what is wrong and what to do."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from auditkit.canonical import canonical, digest
from auditkit.checks import configure, parameter_schema, parameters
from auditkit.errors import PluginError
from auditkit.model import Access, Arm, Detection, Observations, Outcome, Row, Status
from auditkit.report import exhibited
from auditkit.testing.contract import Contract
