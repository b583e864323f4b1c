# SPDX-License-Identifier: Apache-2.0
"""The charts of a folder of event files as TensorBoard shows them, as JSON."""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
events.Reload()
charts = {tag: [[point.step, point.value] for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
charts["parameters"] = events.Tensors("parameters")[-1].tensor_proto.string_val[0].decode()
print(json.dumps(charts))
