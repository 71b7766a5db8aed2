"""Models that run in this process on llama.cpp: the catalogue, the download, and the model itself."""

from ..cache import cache_directory
from .catalogue import KNOWN, LocalFile, find
from .model import LocalModel
from .pull import PullProgress, pull

__all__ = ["KNOWN", "LocalFile", "LocalModel", "PullProgress", "cache_directory", "find", "pull"]
