"""Who says so: an auditor's key, the signed statement, the signed PDF."""
