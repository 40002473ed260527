"""The containers of docker-compose.yml, and the faults that Docker can do to them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NODES = ("node1", "node2", "node3")


def run(*line: str, timeout_s: float = 60.0) -> str:
    """Run a command and return its stdout; an error shows both streams."""
    done = subprocess.run(
        line, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{' '.join(line)}: {done.stdout}\n{done.stderr}"
    return done.stdout


def engine_is_there() -> bool:
    """True when a Docker engine answers."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def compose_command() -> list[str]:
    """Compose v2 where it is installed, else docker-compose 1.29."""
    v2 = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if v2.returncode == 0 else ["docker-compose"]


class Containers:
    """One run of docker-compose.yml under a project name of its own."""

    def __init__(self, project: str) -> None:
        self._compose = [*compose_command(), "-p", project]
        self._project = project

    def up(self) -> None:
        """Build the image and start every service."""
        run(*self._compose, "build", timeout_s=600.0)
        run(*self._compose, "up", "-d", timeout_s=120.0)

    def down(self) -> None:
        """Remove containers, network and volumes."""
        run(*self._compose, "down", "-v", "--remove-orphans", timeout_s=120.0)

    def logs(self) -> str:
        """What every container wrote."""
        return run(*self._compose, "logs", "--no-color", "--tail", "30")

    def container(self, service: str) -> str:
        """Id of a service's container, running or not."""
        found = run(*self._compose, "ps", "-q", service).split()
        if not found:
            found = run(*self._compose, "ps", "-a", "-q", service).split()
        return found[0]

    @property
    def network(self) -> str:
        """Name of the network that the services are on."""
        return f"{self._project}_exchange"

    def exchange(self, service: str, *words: str) -> Any:
        """Run `exchange WORDS --json` in a container."""
        line = ("docker", "exec", self.container(service), "exchange", *words, "--json")
        return json.loads(run(*line))

    def health(self, service: str) -> str:
        """healthy, unhealthy or starting."""
        template = "{{.State.Health.Status}}"
        return run("docker", "inspect", "-f", template, self.container(service)).strip()

    def user(self, service: str) -> str:
        """Numeric id of the user that the service runs as."""
        return run("docker", "exec", self.container(service), "id", "-u").strip()

    def stop(self, *services: str) -> None:
        """SIGTERM, and wait."""
        run(*self._compose, "stop", *services, timeout_s=120.0)

    def copy_data(self, service: str, target: Path) -> None:
        """Copy what is below /data in a (stopped) container."""
        run("docker", "cp", f"{self.container(service)}:/data/.", str(target))


class Killed:
    """`docker kill` (SIGKILL), later `docker start`."""

    @staticmethod
    def break_it(containers: Containers, service: str) -> None:
        run("docker", "kill", "-s", "KILL", containers.container(service))

    @staticmethod
    def repair(containers: Containers, service: str) -> None:
        run("docker", "start", containers.container(service))


class Paused:
    """`docker pause`: the process hangs, its connections stay; later `docker unpause`."""

    @staticmethod
    def break_it(containers: Containers, service: str) -> None:
        run("docker", "pause", containers.container(service))

    @staticmethod
    def repair(containers: Containers, service: str) -> None:
        run("docker", "unpause", containers.container(service))


class CutOff:
    """`docker network disconnect`: no packet gets through; later `docker network connect`."""

    @staticmethod
    def break_it(containers: Containers, service: str) -> None:
        run("docker", "network", "disconnect", containers.network, containers.container(service))

    @staticmethod
    def repair(containers: Containers, service: str) -> None:
        run(
            "docker",
            "network",
            "connect",
            "--alias",
            service,
            containers.network,
            containers.container(service),
        )
