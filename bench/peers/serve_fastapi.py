# SPDX-License-Identifier: Apache-2.0
"""A server as it is usually written in Python: FastAPI, Pillow, ONNX Runtime. serve.py measures it beside `petnet serve`.

PETNET_ONNX names the file of `petnet export --onnx FILE --preprocess`, PETNET_ONNX_THREADS the threads of the network
(0: ONNX Runtime's own choice). Run by uvicorn: `uvicorn serve_fastapi:app`."""
import io
import os

import numpy
import onnxruntime
from fastapi import FastAPI, Request
from PIL import Image
from starlette.concurrency import run_in_threadpool

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ.get("PETNET_ONNX_THREADS", "0"))
session = onnxruntime.InferenceSession(os.environ["PETNET_ONNX"], options, providers=["CPUExecutionProvider"])
size = session.get_inputs()[0].shape[1]
app = FastAPI()


def classify(photograph):
    image = Image.open(io.BytesIO(photograph)).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((size, size), Image.BILINEAR)
    logits = session.run(None, {session.get_inputs()[0].name: numpy.asarray(square)[None]})[0][0]
    odds = numpy.exp(logits - logits.max())
    return {"label": int(logits.argmax()), "probabilities": (odds / odds.sum()).tolist(), "logits": logits.tolist()}


@app.post("/score")
async def score(request: Request):
    return await run_in_threadpool(classify, await request.body())


@app.get("/readyz")
async def readyz():
    return {}
