"""Behaviour over many turns, on Inspect AI: the one place that knows it

It is imported only when a task is made or run. Light, for checks and controls: `policies` (scripted
subjects), `extract` (what a row keeps of a log), `runner` (runs a task on a subject), `agent` (tasks from
plain values). The rest is imported by `runner.run_task` when it is called.
"""
