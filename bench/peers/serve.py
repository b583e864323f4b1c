#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`petnet serve` against FastAPI with ONNX Runtime (serve_fastapi.py): many clients at once, on the same cores, taking turns.

usage: serve.py PETNET MODEL PHOTOGRAPHS [--requests 5000] [--clients 64] [--rounds 5] [--json FILE] [--only NAME]
(pip install fastapi 'uvicorn[standard]' onnxruntime pillow numpy; run by the Python that has them)

The clients are one process that only sends and receives, on the servers' own cores: it costs both the same. Each of its
connections stays open and sends its next request when it has the answer to the last. FastAPI is run twice: by one process
whose network takes all cores, and by a process with one thread for each core; the table compares with the better one. The
first answers of all servers are compared before anything is timed. Prints a Markdown table of the medians over the rounds;
latencies are of all rounds together.
"""
import argparse
import asyncio
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from worker import circumstances, portable

HERE = pathlib.Path(__file__).resolve().parent
NAMES = {"petnet": "petnet serve", "fastapi": "FastAPI, one process", "fastapi_processes": "FastAPI, a process a core"}
TRIES = 100


class Server:
    """A process that answers; ended with the block."""

    def __init__(self, name, command, port, environment=None):
        self.name, self.port = name, port
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=dict(os.environ, **(environment or {})))

    def __enter__(self):
        for _ in range(TRIES):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz"):
                    return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.3)
        self.log.seek(0)
        sys.exit(f"{self.name} does not answer: {self.log.read().decode()}")

    def __exit__(self, *_):
        self.process.terminate()
        self.code = self.process.wait(60)


async def client(port, requests, latencies, statuses):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while requests:
        began = time.perf_counter()
        writer.write(requests.pop())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        status = int(head.split(b" ", 2)[1])
        statuses[status] = statuses.get(status, 0) + 1
        if status == 200:
            latencies.append(time.perf_counter() - began)
    writer.close()


def load(port, bodies, count, clients):
    """`count` requests by so many clients: requests a second, latencies, answers by status."""
    requests = [b"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body) for body in (bodies[i % len(bodies)] for i in range(count))]
    latencies, statuses = [], {}

    async def all_clients():
        await asyncio.gather(*(client(port, requests, latencies, statuses) for _ in range(clients)))

    began = time.perf_counter()
    asyncio.run(all_clients())
    return {"requests_per_second": count / (time.perf_counter() - began), "latencies": sorted(latencies), "statuses": statuses}


def logits(port, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/score", body, {"Content-Type": "image/jpeg"})
    with urllib.request.urlopen(request) as answer:
        given = json.load(answer)
    return given["predictions"][0]["logits"] if "predictions" in given else given["logits"]


def free_ports(count):
    import socket
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def servers(petnet, model, onnx, only):
    ports = free_ports(3)
    cores = len(os.sched_getaffinity(0))
    uvicorn = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "--no-access-log", "--log-level", "warning",
               "serve_fastapi:app", "--port"]
    environment = {"PETNET_ONNX": str(onnx)}
    every = [
        Server("petnet", [petnet, "serve", "--model", model, "--port", str(ports[0])], ports[0]) if only in (None, "petnet") else None,
        Server("fastapi", [*uvicorn, str(ports[1])], ports[1], environment) if only in (None, "fastapi") else None,
        Server("fastapi_processes", [*uvicorn, str(ports[2]), "--workers", str(cores)], ports[2],
               environment | {"PETNET_ONNX_THREADS": "1"}) if only in (None, "fastapi_processes") else None,
    ]
    return [server for server in every if server]


def versions():
    import fastapi
    import onnxruntime
    import PIL
    import uvicorn
    return {"fastapi": fastapi.__version__, "uvicorn": uvicorn.__version__, "onnxruntime": onnxruntime.__version__,
            "pillow": PIL.__version__}


def part(latencies, share):
    return latencies[min(len(latencies) - 1, int(share * len(latencies)))]


def measure(petnet, model, folder, count, clients, rounds, only):
    bodies = [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))]
    per_round = count // rounds
    with tempfile.TemporaryDirectory() as place:
        onnx = pathlib.Path(place) / "model.onnx"
        subprocess.run([petnet, "export", "--model", model, "--onnx", onnx, "--preprocess"], check=True, capture_output=True)
        running = servers(petnet, model, onnx, only)
        measured = {server.name: [] for server in running}
        for server in running:
            server.__enter__()
        try:
            for body in bodies:
                answers = [logits(server.port, body) for server in running]
                for other in answers[1:]:
                    # Of a landscape photograph petnet's pixels may differ from Pillow's by 1 of 255 (data/resize.hpp).
                    assert max(abs(a - b) for a, b in zip(answers[0], other)) < 0.05, answers
            for server in running:
                load(server.port, bodies, 2 * clients, clients)
            for _ in range(rounds):
                for server in running:
                    measured[server.name].append(load(server.port, bodies, per_round, clients))
        finally:
            for server in running:
                server.__exit__()
        ends = {server.name: server.code for server in running}
    result = {}
    for name, turns in measured.items():
        latencies = sorted(latency for turn in turns for latency in turn["latencies"])
        statuses = {}
        for turn in turns:
            for status, number in turn["statuses"].items():
                statuses[str(status)] = statuses.get(str(status), 0) + number
        result[name] = {"requests_per_second": [turn["requests_per_second"] for turn in turns], "answers": statuses,
                        "seconds": {"p50": part(latencies, 0.5), "p90": part(latencies, 0.9), "p99": part(latencies, 0.99),
                                    "most": latencies[-1]}, "exit_code": ends[name]}
    return circumstances() | {
        "command": f"bench/peers/serve.py build/release/app/petnet MODEL {portable(folder)} --requests {count} --clients {clients} --rounds {rounds}",
        "versions": versions(), "photographs": len(bodies), "clients": clients, "servers": result,
    }


def table(result):
    measured, median = result["servers"], statistics.median
    lines = ["| | requests/s | least | most | p50, ms | p99, ms | answers | petnet's rate by its |", "|---|---|---|---|---|---|---|---|"]
    for name, one in measured.items():
        rates = one["requests_per_second"]
        ratio = ""
        if name != "petnet" and "petnet" in measured:
            ratio = f"{median(a / b for a, b in zip(measured['petnet']['requests_per_second'], rates)):.2f}"
        answers = ", ".join(f"{count} of {status}" for status, count in sorted(one["answers"].items()))
        lines.append(f"| {NAMES[name]} | {median(rates):.1f} | {min(rates):.1f} | {max(rates):.1f} | {1e3 * one['seconds']['p50']:.0f} | "
                     f"{1e3 * one['seconds']['p99']:.0f} | {answers} | {ratio} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("petnet")
    parser.add_argument("model")
    parser.add_argument("photographs", type=pathlib.Path)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    result = measure(arguments.petnet, arguments.model, arguments.photographs, arguments.requests, arguments.clients,
                     arguments.rounds, arguments.only)
    print(f"{arguments.requests} requests of {arguments.clients} clients, {arguments.rounds} rounds\n")
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
