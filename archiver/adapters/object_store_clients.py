"""Builds the two clients of one bucket, with the same credentials, endpoint and patience. Blocking."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError
from obstore.store import S3Store

from archiver.adapters.object_store_errors import Errand, translate
from archiver.errors import AccessDenied, ConfigError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from botocore.exceptions import _ClientErrorResponseTypeDef as _Parsed
    from botocore.model import OperationModel
    from mypy_boto3_s3 import S3Client
    from obstore.store import ClientConfig, RetryConfig

_CREDENTIALS_LIFE = timedelta(minutes=10)  # botocore renews temporary ones 10 minutes before their end at the latest
_REDIRECTS = frozenset({301, 302, 307, 308})
_WHOLE_BODY = timedelta(hours=12)  # a limit on a whole request would cut large downloads: `Patience.idle` guards


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for the store, in seconds, and how often to try again before the caller hears of it."""

    connect: float = 5
    idle: float = 60  # from request to answer, and between two pieces of a body
    retries: int = 2
    retry_for: float = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Which bucket, where, as whom. Without keys: the AWS credential chain. Without endpoint: AWS."""

    bucket: str
    region: str | None
    endpoint_url: str | None
    access_key_id: str | None = field(repr=False)
    secret_access_key: str | None = field(repr=False)
    threads: int = 16
    patience: Patience = Patience()

    def open(self) -> tuple[S3Store, S3Client]:
        """Build both clients; nothing is sent yet, except to find credentials. Raises ConfigError, AccessDenied."""
        try:
            # A store of one's own has no regions, but a signature needs one.
            region = self.region or boto3.Session().region_name or "us-east-1"
            session = boto3.Session(self.access_key_id, self.secret_access_key, region_name=region)
            client = session.client("s3", endpoint_url=self.endpoint_url, config=self._boto_config())
            client.meta.events.register_first("needs-retry.s3", _refuse_redirect)
            return self._bytes_store(session), client
        except BotoCoreError as error:
            raise translate(error, Errand(bucket=self.bucket, action="open")) from None
        except (BaseError, ValueError) as error:
            message = f"open bucket {self.bucket}: {type(error).__name__}"
            raise ConfigError(message, hint="check vault.bucket, vault.region and vault.endpoint_url") from None

    def _boto_config(self) -> Config:
        style: Literal["path", "auto"] = "path" if self.endpoint_url else "auto"
        return Config(
            connect_timeout=self.patience.connect,
            read_timeout=self.patience.idle,
            retries={"mode": "standard", "total_max_attempts": self.patience.retries + 1},
            max_pool_connections=self.threads,
            request_checksum_calculation="when_required",  # some stores refuse the trailers of the default
            response_checksum_validation="when_required",
            s3={"addressing_style": style},
        )

    def _bytes_store(self, session: boto3.Session) -> S3Store:
        if session.get_credentials() is None:
            hint = "set vault.access_key_id and vault.secret_access_key, or provide AWS credentials"
            raise AccessDenied(f"open bucket {self.bucket}: no credentials found", hint=hint)
        # A name with dots does not fit the certificate of a virtual host.
        virtual_host = self.endpoint_url is None and "." not in self.bucket
        return S3Store(
            self.bucket,
            config={"endpoint": self.endpoint_url} if self.endpoint_url else {},
            credential_provider=Boto3CredentialProvider(session, ttl=_CREDENTIALS_LIFE),
            client_options=self._client_options(),
            retry_config=self._retry_config(),
            checksum_algorithm="SHA256",
            virtual_hosted_style_request=virtual_host,
        )

    def _client_options(self) -> ClientConfig:
        return {
            "allow_http": (self.endpoint_url or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=self.patience.connect),
            "read_timeout": timedelta(seconds=self.patience.idle),
            "timeout": _WHOLE_BODY,
        }

    def _retry_config(self) -> RetryConfig:
        return {
            "max_retries": self.patience.retries,
            "retry_timeout": timedelta(seconds=self.patience.retry_for),
        }


def _refuse_redirect(response: tuple[AWSResponse, _Parsed] | None, operation: OperationModel, **_: object) -> None:
    """Fail where boto3 would go looking for the bucket: obstore cannot follow, and some proxies it asks without end."""
    if response is not None and response[0].status_code in _REDIRECTS:
        raise ClientError(response[1], operation.name)
