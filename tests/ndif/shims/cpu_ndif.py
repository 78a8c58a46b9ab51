"""What NDIF 0.1.2 needs to run on a CPU with nnsight 0.8.1; imported by Ray's workers, for tests alone.

- It assumes CUDA when it loads a model, and synchronises CUDA after each request.
- It passes `trust_remote_code` to nnsight where 0.8.1 no longer takes it, and asks the hub how large a model
  is, also where that is a folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ray
import torch
from ndif.services.ray.deployments.controller.controller import _ControllerActor
from ndif.services.ray.deployments.modeling.base import BaseModelDeployment
from nnsight.modeling.huggingface import HuggingFaceModel
from nnsight.modeling.mixins import remotable

if not torch.cuda.is_available():
    torch.cuda.synchronize = lambda *_, **__: None


def _described(cls: Any, model_key: str, dtype: str, **_: Any) -> Any:
    folder = Path(json.loads(model_key.partition(":")[2])["repo_id"])
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return remotable.CheckpointInfo(size_bytes=size)


remotable.Remotable.describe_checkpoint = classmethod(_described)
remotable.Remotable.max_tp_size = classmethod(lambda *_, **__: None)


class OnCpu(BaseModelDeployment):
    """A model in memory, computed where it is."""

    CACHEABLE = False

    def load_from_disk(self) -> Any:
        model = HuggingFaceModel.from_model_key(
            self.model_key, dispatch=True, dtype=self.dtype_name
        )
        model._module.requires_grad_(False).eval()
        return model


@ray.remote(num_cpus=0, max_restarts=-1)
class ModelActor(OnCpu):
    """See `OnCpu`."""


class Controlling(_ControllerActor):
    """Pickled by reference, so that whoever unpickles it imports this module with its changes."""


@ray.remote(num_cpus=0, num_gpus=0, max_restarts=-1, resources={"head": 1})
class Controller(Controlling):
    """See `Controlling`."""
