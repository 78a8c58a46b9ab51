import subprocess
import sys


def test_the_package_itself_loads_nothing_heavy():
    code = (
        "import sys, auditkit.statistics; print({'scipy', 'sklearn', 'torch'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
