"""inspect:<task>: any task of Inspect as a check"""
