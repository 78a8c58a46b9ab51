"""What runs inside the outer layer: standard library only, imported by nothing that runs on the host.

These modules travel into the outer namespace as one archive and are started there by `__main__`. They must not
import auditkit, which isn't there; imports among them are relative, since the archive has another name.
"""
