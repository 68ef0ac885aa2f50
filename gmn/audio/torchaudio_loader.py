"""torchaudio, also where its compiled extension does not load.

PyPI's torchaudio wheel is built for CUDA. Beside a CPU build of torch, `import torchaudio` raises OSError from the
compiled extension, which `transforms` and `functional` do not need. The package itself goes on without the extension
when the library file is absent; `load_torchaudio` brings about the same where the file is there but does not load.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def load_torchaudio() -> ModuleType:
    """Import torchaudio, with its compiled extension if that loads and without it if not.

    Once this has returned, `import torchaudio` anywhere in the process gives the same module. Without the extension,
    functions that need it (forced alignment, CUDA decoders) raise RuntimeError when called.

    Raises ImportError where torchaudio is not installed.
    """
    try:
        return importlib.import_module("torchaudio")
    except OSError:
        # Python has taken back the package that failed but not the parts of it that succeeded.
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        extension = _extension_unavailable()
        sys.modules[extension.__name__] = extension
        try:
            torchaudio = importlib.import_module("torchaudio")
        except BaseException:
            del sys.modules[extension.__name__]
            raise
        setattr(torchaudio, "_extension", extension)  # noqa: B010 (the import would have set it)
        return torchaudio


def _extension_unavailable() -> ModuleType:
    """Return what `torchaudio._extension` is where the library file is absent."""
    extension = ModuleType("torchaudio._extension", "The extension does not load in this process (set by gmn).")

    def fail_if_no_align(function: Callable[..., Any]) -> Callable[..., Any]:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(f"{function.__name__} needs torchaudio's compiled extension, which does not load here")

        return fail

    extension.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        _check_cuda_version=lambda: None,
        _load_lib=lambda lib: False,
        fail_if_no_align=fail_if_no_align,
    )
    return extension
