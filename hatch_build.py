"""What a wheel has that no checkout has: the native part, where there is a C compiler. Without it the wheel is pure."""

import importlib.util
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativePart(BuildHookInterface):  # type: ignore[type-arg]  # of whatever configuration
    """Compiles into a wheel; in an editable installation scripts/setup does it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        spec = importlib.util.spec_from_file_location(
            "build_native", Path(self.root, "ledger", "native", "build.py")
        )
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        self.scratch = tempfile.TemporaryDirectory()
        try:
            library = build.build(Path(self.scratch.name))
        except build.NotBuilt as why:
            self.app.display_warning(f"Without the native part: {why}")
            return
        build_data["force_include"][str(library)] = f"ledger/native/{build.LIBRARY}"
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self.scratch.cleanup()
