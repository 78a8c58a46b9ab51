"""What runs inside the outer layer: standard library only, imported by nothing that runs on the host.

These modules travel into the outer namespace as one archive; `program` is what it runs. They must not
import auditkit, which isn't there. Imports among them are relative, since the package has another name in
the archive.
"""
