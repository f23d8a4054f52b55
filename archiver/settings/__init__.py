"""YAML and environment to frozen settings: `load` reads the file, the models say what it may hold."""

from archiver.settings.auth import Auth, PasswordAuth, RefreshAuth, TokenAuth
from archiver.settings.loader import fill, load, mapping
from archiver.settings.models import Account, Database, Logging, Settings, Sync, Vault
from archiver.settings.notifying import Channel, Notifications, Ping
from archiver.settings.renewal import Renewal, renew
from archiver.settings.schema import schema_text, write_schema
from archiver.settings.watching import Health, Http

__all__ = [
    "Account",
    "Auth",
    "Channel",
    "Database",
    "Health",
    "Http",
    "Logging",
    "Notifications",
    "PasswordAuth",
    "Ping",
    "RefreshAuth",
    "Renewal",
    "Settings",
    "Sync",
    "TokenAuth",
    "Vault",
    "fill",
    "load",
    "mapping",
    "renew",
    "schema_text",
    "write_schema",
]
