"""Versioned JSON Schemas and expectation suites. A released file never changes; a new version joins it."""
