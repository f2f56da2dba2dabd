"""What a wheel has that no checkout has: the native part, where there is a C compiler. Without it the wheel is pure."""

import importlib.util
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativePart(BuildHookInterface):  # type: ignore[type-arg]  # of whatever configuration
    """Compiles into a wheel; in an editable installation scripts/setup does it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        native = Path(self.root, "ledger", "native")
        spec = importlib.util.spec_from_file_location("build_native", native / "build.py")
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        try:
            library = build.build()
        except build.NotBuilt as why:
            self.app.display_warning(f"Without the native part: {why}")
            return
        build_data["artifacts"].append(library.relative_to(self.root).as_posix())
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
