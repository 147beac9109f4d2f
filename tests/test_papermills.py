"""papermill as ctnb loads it: without the clouds' clients, and as able as ever once they are asked for."""

import subprocess
import sys

import pytest

CLIENTS = ("boto3", "azure.storage.blob", "azure.identity")


def said_by(source: str) -> str:
    """What `source` prints in a Python of its own."""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_papermill_is_loaded_without_the_clients_of_clouds() -> None:
    """A step's notebook is a local file: nothing that fetches from a cloud is imported for it."""
    source = (
        "import sys; from ctnb import papermills; papermills.execute_notebook()\n"
        f"print([name for name in {CLIENTS} if name in sys.modules])"
    )
    assert said_by(source) == "[]"


@pytest.mark.parametrize(("module", "name"), [("s3", "S3"), ("abs", "AzureBlobStore"), ("adl", "ADL")])
def test_a_cloud_is_still_reached_through_papermill(module: str, name: str) -> None:
    """What papermill calls for a cloud's address loads its client then, or says that it is not installed."""
    source = (
        "from ctnb import papermills; papermills.execute_notebook()\n"
        "import papermill.iorw as iorw\n"
        "from papermill.exceptions import PapermillOptionalDependencyException as Missing\n"
        "try:\n"
        f"    made = iorw.{name}()\n"
        "except Missing:\n"
        "    print('missing')\n"
        "except Exception:\n"
        "    print('reached')\n"
        "else:\n"
        f"    print('reached' if type(made).__module__ == 'papermill.{module}' else 'another')\n"
    )
    plain = source.replace("from ctnb import papermills; papermills.execute_notebook()\n", "")
    assert said_by(source) == said_by(plain) in ("reached", "missing")
