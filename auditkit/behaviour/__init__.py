"""Behaviour over many turns, on Inspect AI: the one place that knows it, and the sandbox that agents act in.

It is imported only when a task is made or run. Light, for checks and controls: `policies` (scripted
subjects), `extract` (what a row keeps of a log), `runner` (runs a task on a subject), `agent` (tasks from
plain values), `staged` (agents on stages), `arrival` (what got out), `sandbox` (stages). The rest is
imported by `runner.run_task` when it is called.
"""
