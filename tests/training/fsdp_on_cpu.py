"""The command line under FSDP2 on CPUs: `accelerate launch --config_file ... fsdp_on_cpu.py train recipe.yaml`.

PyTorch's FSDP2 runs on gloo, but accelerate turns it on for accelerators only (1.15: `AcceleratorState.__init__`) and
would give DDP without a word.
"""

from __future__ import annotations

import os
from typing import Any

from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

_original = AcceleratorState.__init__


def allow_fsdp() -> None:
    """Makes accelerate take the FSDP plugin of its configuration on CPUs too."""

    def init(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        _original(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        plugin = fsdp_plugin or vars(self).get("fsdp_plugin")
        if plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, plugin
            if self._mixed_precision != "no" and plugin.mixed_precision_policy is None:
                plugin.set_mixed_precision(self._mixed_precision)

    AcceleratorState.__init__ = init


if __name__ == "__main__":
    from rewardsmith.cli.app import main

    if os.environ.get("ACCELERATE_USE_FSDP") == "true":
        allow_fsdp()
    main()
