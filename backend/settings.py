"""What can be set from outside, and the bound of every loop, queue and retry.

Read from the environment, ``LENDWATT_`` before each name. The defaults are a whole system on
one machine, reachable from that machine only.
"""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend import ids
from backend.problems import StartError

SESSIONS_AT_ONCE: Final = 16
"""Requests that hold a database session at once; more wait their turn, without a thread.

Below the thread pool's 40: a request that holds SQLite's write lock always finds a thread.
"""

_SECRET_CHARS_MIN = 32
_SECRET_DISTINCT_MIN = 12

ProviderName = Literal["sandbox", "stripe", "wechat"]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


def _names(given: object) -> object:
    """Names with commas between, each once, in their order."""
    if not isinstance(given, str):
        return given
    return tuple(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))


class Settings(BaseSettings):
    """The backend's settings."""

    model_config = SettingsConfigDict(env_prefix="LENDWATT_", frozen=True)

    data_dir: Path = Path("lendwatt-data")
    database_url: str = ""
    """Empty: a SQLite file in ``data_dir``."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = "http://127.0.0.1:8000"
    """What QR codes and return links begin with; no slash at the end."""
    demo: bool = False
    """Sign-in codes are told in the answer. Refused on any address but loopback."""
    map_tiles: str = ""
    """Where the pages' maps come from, as ``https://tiles.example/{z}/{x}/{y}.png``; empty: maps
    are a plain grid, which needs no network."""
    map_credit: str = ""
    """What the maker of the tiles wants to be named as."""
    token_secret: SecretStr | None = None
    """Signs access tokens. At least 32 characters of chance; needed unless demo on loopback."""
    operator_phones: frozenset[str] = frozenset()
    """Phones, E.164, whose people are operators from their next sign-in on. Nobody else is."""

    providers: Annotated[tuple[ProviderName, ...], NoDecode, BeforeValidator(_names)] = Field(
        default=("sandbox",), min_length=1
    )
    """Payment providers, by name, with commas between. New payments go to the first."""
    provider_url: str = "http://127.0.0.1:8001"
    """Of the sandbox, as are the two after it."""
    provider_api_key: SecretStr | None = None
    provider_webhook_secret: SecretStr | None = None
    provider_timeout_s: Seconds = 10.0
    """For each call to any of them."""

    stripe_api_key: SecretStr | None = None
    stripe_webhook_secret: SecretStr | None = None
    stripe_url: str = ""
    """Empty: Stripe's own."""

    wechat_mchid: str = ""
    wechat_appid: str = ""
    wechat_service_id: str = ""
    """Of Pay Score."""
    wechat_serial: str = ""
    """Of the merchant's certificate."""
    wechat_private_key_file: Path | None = None
    """The merchant's key: ``apiclient_key.pem``."""
    wechat_api_v3_key: SecretStr | None = None
    wechat_platform_key_file: Path | None = None
    """WeChat Pay's public key ``pub_key.pem``, or its certificates."""
    wechat_platform_key_id: str = ""
    """``PUB_KEY_ID_...``; not needed with certificates."""
    wechat_confirm_url: str = ""
    """The page inside WeChat where a renter confirms a deposit."""
    wechat_url: str = "https://api.mch.weixin.qq.com"

    body_bytes_max: Count = 65_536
    """A larger request is refused with 413."""
    requests_at_once_max: Count = 2_500
    """Connections and requests together; more are refused with 503."""
    shutdown_grace_s: Count = 10
    """How long running requests may take once the process is told to stop."""

    access_token_s: Count = 600
    refresh_token_s: Count = 30 * 86_400
    signin_code_s: Count = 300
    signin_tries_max: Count = 5
    """Guesses per code, right one included."""
    signin_sends_per_phone_max: Count = 5
    """Codes per phone and hour."""
    signin_sends_per_address_max: Count = 30
    """Codes per network address and hour."""
    idempotency_keep_s: Count = 86_400
    """How long an answer can be asked for again."""
    notifications_keep_s: Count = 30 * 86_400

    reads_per_minute_max: Count = 1_200
    """Requests of one caller that change nothing; more are answered 429."""
    writes_per_minute_max: Count = 300
    signins_per_minute_max: Count = 60
    stream_opens_per_minute_max: Count = 60
    webhooks_per_minute_max: Count = 12_000
    """Providers' notices, all from one address."""

    stream_poll_s: Seconds = 1.0
    """How late a stream may be if a wake-up is lost."""
    stream_recheck_s: Seconds = 10.0
    """How late a stream may notice that its person was signed out."""
    stream_page_rows: Count = 100
    streams_max: Count = 2_000
    streams_per_person_max: Count = 8
    """More is answered 503 or 429."""

    def url_of_database(self) -> str:
        """Return the database's URL, the default one if none was set."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'lendwatt.db'}"


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach ``host``."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_secret(settings: Settings) -> str:
    """Return the secret that signs tokens; in a demo on loopback, one made for this data dir.

    Raises:
        StartError: it is missing or weak, or the demo could be reached from outside.
    """
    local_demo = settings.demo and is_loopback(settings.host)
    if settings.demo and not local_demo:
        msg = (
            f"The demo tells sign-in codes to whoever asks and will not listen on "
            f"{settings.host}: leave LENDWATT_HOST at 127.0.0.1, or LENDWATT_DEMO off."
        )
        raise StartError(msg)
    if settings.token_secret is None:
        if local_demo:
            return kept_secret(settings.data_dir / "token-secret")
        msg = (
            "LENDWATT_TOKEN_SECRET is not set: set it to 32 random characters or more, "
            "for instance the output of `openssl rand -base64 32`."
        )
        raise StartError(msg)
    secret = settings.token_secret.get_secret_value()
    if len(secret) < _SECRET_CHARS_MIN or len(set(secret)) < _SECRET_DISTINCT_MIN:
        msg = (
            "LENDWATT_TOKEN_SECRET can be guessed: set it to 32 random characters or more, "
            "for instance the output of `openssl rand -base64 32`."
        )
        raise StartError(msg)
    return secret


def kept_secret(file: Path, make: Callable[[], str] = ids.new_token) -> str:
    """Read a secret that this installation made for itself; make it the first time.

    Raises:
        StartError: the file cannot be kept.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists() or not file.read_text():
            file.touch(mode=0o600)
            file.write_text(make())
        return file.read_text()
    except OSError as wrong:
        msg = (
            f"The file {file} cannot be kept ({wrong.strerror}): "
            "set LENDWATT_DATA_DIR to a directory that can be written."
        )
        raise StartError(msg) from wrong


def read_settings(**given: Any) -> Settings:
    """Read the settings: what was given, and the environment for the rest.

    Raises:
        StartError: a value cannot be used; says which.
    """
    try:
        return Settings(**given)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        name = f"LENDWATT_{first['loc'][0]}".upper() if first["loc"] else "A setting"
        msg = f"{name} cannot be used ({first['msg']}): mend it, or unset it for the default."
        raise StartError(msg) from wrong
