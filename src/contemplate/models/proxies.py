"""The proxy for a URL, from the environment: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`."""

from __future__ import annotations

from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import ConfigurationError
from ..redaction import shown_url

_SCHEMES = ("http", "https", "socks5", "socks5h")


def proxy_for(url: str, chosen: str | None = None) -> str | None:
    """Return the URL of the proxy through which `url` is reached; None if it is reached directly.

    Args:
        url: the URL.
        chosen: a proxy for all URLs; "" for none; None for that of the environment.

    Without a chosen one, this machine is always reached directly: a proxy has its own idea of what "localhost" is.

    Raises:
        ConfigurationError: the proxy for `url` cannot be used.
    """
    target = urlsplit(url)
    proxy = _of_environment(target) if chosen is None else chosen
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    scheme = urlsplit(proxy).scheme.lower()
    calls = f"calls to {shown_url(url)} go through the proxy {shown_url(proxy)}"
    if scheme not in _SCHEMES:
        raise ConfigurationError(
            f"{calls}, and {scheme!r} proxies are not supported",
            hint=f"use one of {', '.join(_SCHEMES)}, or add {target.hostname} to NO_PROXY",
        )
    if scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError(
            f"{calls}, and SOCKS needs a package that is not installed",
            hint=f"pip install 'httpx2[socks]', or add {target.hostname} to NO_PROXY",
        )
    return proxy


def _of_environment(target: SplitResult) -> str | None:
    proxies = getproxies()
    if _is_here(target.hostname or "") or _is_excepted(target, proxies.get("no", "")):
        return None
    return proxies.get(target.scheme) or proxies.get("all")


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _is_excepted(target: SplitResult, exceptions: str) -> bool:
    """Return whether NO_PROXY names the host: as a domain, an address, a network such as 10.0.0.0/8, or with "*"."""
    host = target.hostname or ""
    with_port = f"{host}:{target.port or {'https': 443}.get(target.scheme, 80)}"
    # It also knows the exceptions in the settings of macOS and Windows.
    if proxy_bypass(with_port):
        return True
    return any(_matches(host, with_port, each.strip().lower()) for each in exceptions.split(","))


def _matches(host: str, with_port: str, exception: str) -> bool:
    domain = exception.removeprefix("*").removeprefix(".")
    if exception == "*" or (domain and any(f".{each}".endswith(f".{domain}") for each in (host, with_port))):
        return True
    try:
        return ip_address(host) in ip_network(exception.strip("[]"), strict=False)
    except ValueError:
        return False
