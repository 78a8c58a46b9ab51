"""Questions of graded difficulty: domains, measures of hardness, and data sets of an auditor's own."""
