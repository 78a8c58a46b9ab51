"""reward.audit: what a reward model pays for besides right answers."""
