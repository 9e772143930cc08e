"""Local stand-ins as strict as the real services: push services and virtual phones; read `services.py` first."""

from sandbox.errors import RegistrationError, SandboxError

__all__ = ["RegistrationError", "SandboxError"]
