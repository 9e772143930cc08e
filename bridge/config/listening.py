"""Listeners that do not go together, or that let in more than is meant."""

import time
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bridge.config.ended import ends_of, refused
from bridge.config.models.listeners import Listen, Listeners
from bridge.config.written import connectors_of, entries
from rules.node import Node
from rules.problems import Problems


def check_listeners(plain: Mapping[str, Any], context: Mapping[str, Any], root: Node, problems: Problems) -> None:
    """Their section by itself: a mistake in another one hides nothing here."""
    try:
        listeners = Listeners.model_validate(plain.get("listeners", {}), context=context)
    except ValidationError:
        return  # complained of with all others
    addresses: dict[Listen, str] = {}
    for name, listener in listeners.by_name().items():
        if listener.address in addresses and listener.address.port:
            other = f"listeners.{addresses[listener.address]}"
            problems.add(root.find(("listeners", name, "address")), f"{other} is at that address already")
        addresses.setdefault(listener.address, name)
    for name, begins, ends in ends_of(listeners):
        if why := refused(begins, ends, time.time()):
            problems.warn(
                root.find(("listeners", name, "tls", "cert")), why, "renew it; it is taken up without a restart"
            )
    if not listeners.hub_api.address.is_loopback and listeners.hub_api.tls is None:
        hub_api = root.find(("listeners", "hub_api"))
        problems.warn(hub_api, "keys and handles cross the network in clear", f"give {hub_api.key}.tls")
    intake_name, intake = ("admin", listeners.admin) if listeners.intake is None else ("intake", listeners.intake)
    if not intake.address.is_loopback:
        posted_to = root.find(("listeners", intake_name, "address")).key
        for name, source in entries(root, "sources").items():
            for key, kind in connectors_of(source):
                if kind.is_posted_to and "auth" not in entries(source, key):
                    message = f"all who reach {posted_to} can post events"
                    problems.warn(root.find(("sources", name, key)), message, "give the source an auth")
    if not listeners.admin.address.is_loopback and listeners.admin.auth is None:
        admin = root.find(("listeners", "admin"))
        problems.warn(admin, "all who reach it can manage it", "give listeners.admin.auth")
    proxy = None if listeners.admin.auth is None else listeners.admin.auth.proxy
    tls = listeners.admin.tls
    if proxy is not None and proxy.certificate is not None and (tls is None or tls.ca_file is None):
        certificate = root.find(("listeners", "admin", "auth", "proxy", "certificate"))
        problems.add(certificate, "the listener asks for none", "set listeners.admin.tls.ca_file, which has signed it")
