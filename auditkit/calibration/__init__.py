"""Rating detectors: the same audit of planted liars and of their clean twins, and what it got right.

zoo.json                 every organism with its label and digest, and the plan: locked before the first audit
audits/<organism>/       a signed audit bundle of each
calibration.json         the league table, derived from the bundles alone
calibration.html         the same for a screen
manifest.json            size and SHA-256 of every file above
statement.dsse.json      signs the manifest
calibration.pdf          signed by the same key; holds statement and calibration.json as attachments
"""
