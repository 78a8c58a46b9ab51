"""auditkit: independent audits of language models, with verdicts that can be derived again."""

__version__ = "0.1.0"
