"""What connectors log themselves, and what the clients they use may log."""

import logging

_log = logging.getLogger("pushbridge")


def entity_created(source: str, entity: str) -> None:
    """Tell that connecting `source` created an entity at the broker; call it once the broker has it."""
    _log.info("source %s: created %s at the broker", source, entity)


def quieten(*clients: str) -> None:
    """Let the loggers of these clients speak at the level debug only: what they report, our exceptions say."""
    for client in clients:
        logger = logging.getLogger(client)
        if logger.getEffectiveLevel() > logging.DEBUG:
            logger.setLevel(logging.CRITICAL + 1)
