"""The package under test is the one that is meant, and not the other."""

import subprocess
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import contree_sdk
from package import OURS


def test_it_is_the_one_that_is_meant():
    if OURS:
        # A local version: whoever asks for contree-sdk 0.3.6 is content with it.
        assert version("contree-sdk").startswith("0.3.6+contree.")
        assert contree_sdk.__version__ == version("contree-sdk")
    else:
        assert version("contree-sdk") == "0.3.6"
    assert Path(contree_sdk.__file__).is_relative_to(sys.prefix)
    files = {str(file) for file in distribution("contree-sdk").files or []}
    assert any(file.startswith("contree_sdk/_native") for file in files) is OURS


def test_ours_needs_no_other_package():
    needed = [need for need in distribution("contree-sdk").requires or [] if "extra ==" not in need]
    if not OURS:
        assert needed
        return
    assert not needed
    # `-I -S`: nothing of this environment but the package itself is found.
    place = Path(contree_sdk.__file__).parents[1]
    script = f"""
import sys
folder = {str(place)!r}
class Alone:
    def find_spec(self, name, path=None, target=None):
        from importlib.machinery import PathFinder
        if name.partition(".")[0] == "contree_sdk":
            return PathFinder.find_spec(name, path or [folder])
sys.meta_path.append(Alone())
import contree_sdk
contree_sdk.ContreeSync(base_url="http://127.0.0.1:1", token="t").images.use("debian")
print(sorted(name for name in sys.modules if "httpx" in name or "aiofiles" in name))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
