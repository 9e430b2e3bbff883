"""Which payment providers there are: what the settings say, opened.

The first is asked for new payments. The others are still asked after what they began, so when
another takes over, put it in front and leave the old one there until its payments are over.
Each one's webhooks come to ``/api/v1/webhooks/<name>``.

The libraries of Stripe and WeChat Pay are extras: looked for only if they are chosen.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from pydantic import SecretStr

from backend.db import outbox
from backend.db.engine import Database
from backend.payments.port import PayoutProvider, Provider
from backend.payments.sandbox import SandboxProvider
from backend.problems import StartError
from backend.settings import ProviderName, Settings

SANDBOX: Final = "sandbox"
STRIPE: Final = "stripe"
WECHAT: Final = "wechat"


class Opened(Provider, Protocol):
    """A provider with connections."""

    def close(self) -> None:
        """Close them."""


@contextmanager
def opened(settings: Settings, database: Database) -> Iterator[Mapping[str, Provider]]:
    """Open the providers, in the settings' order.

    Raises:
        StartError: one cannot be asked; says what is missing.
    """
    with ExitStack() as stack:
        providers: dict[str, Provider] = {}
        for name in settings.providers:
            provider = _MAKERS[name](settings, database)
            stack.callback(provider.close)
            providers[name] = provider
        yield providers


def pays_out(providers: Mapping[str, Provider]) -> str | None:
    """The first one that sends money out; None: none does."""
    return next(
        (name for name, each in providers.items() if isinstance(each, PayoutProvider)), None
    )


def _sandbox(settings: Settings, _database: Database) -> Opened:
    key, secret = _needed(SANDBOX, settings, "provider_api_key", "provider_webhook_secret")
    return SandboxProvider(
        base_url=settings.provider_url,
        api_key=key,
        webhook_secret=secret,
        timeout_s=settings.provider_timeout_s,
    )


def _stripe(settings: Settings, _database: Database) -> Opened:
    key, secret = _needed(STRIPE, settings, "stripe_api_key", "stripe_webhook_secret")
    try:
        from backend.payments.stripe import StripeProvider  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        raise _not_installed(STRIPE, missing) from missing
    return StripeProvider(
        api_key=key,
        webhook_secret=secret,
        base_url=settings.stripe_url or None,
        timeout_s=settings.provider_timeout_s,
    )


def _wechat(settings: Settings, database: Database) -> Opened:
    mchid, appid, service_id, serial, api_v3_key, confirm_url, ours, theirs = _needed(
        WECHAT,
        settings,
        "wechat_mchid",
        "wechat_appid",
        "wechat_service_id",
        "wechat_serial",
        "wechat_api_v3_key",
        "wechat_confirm_url",
        "wechat_private_key_file",
        "wechat_platform_key_file",
    )
    try:
        from backend.payments.wechat import WechatProvider  # noqa: PLC0415 - an extra
        from backend.payments.wechat_keys import WechatAccount  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise _not_installed(WECHAT, missing) from missing

    def refund_keys(reference: str) -> list[str]:
        with database.reading() as session:
            return list(outbox.refund_keys(session, reference))

    account = WechatAccount(
        mchid=mchid,
        appid=appid,
        service_id=service_id,
        serial=serial,
        private_key=ours,
        api_v3_key=api_v3_key,
        platform_key=theirs,
        platform_key_id=settings.wechat_platform_key_id,
        notify_url=f"{settings.public_url}/api/v1/webhooks/{WECHAT}",
        confirm_url=confirm_url,
    )
    try:
        return WechatProvider(
            account,
            refund_keys=refund_keys,
            base_url=settings.wechat_url,
            timeout_s=settings.provider_timeout_s,
        )
    except ValueError as wrong:
        msg = f"WeChat Pay cannot be asked: {wrong}. Look at the LENDWATT_WECHAT_ settings."
        raise StartError(msg) from wrong


_MAKERS: Final[Mapping[ProviderName, Callable[[Settings, Database], Opened]]] = MappingProxyType(
    {"sandbox": _sandbox, "stripe": _stripe, "wechat": _wechat}
)


def _needed(provider: str, settings: Settings, *names: str) -> list[str]:
    """What a provider cannot do without, as text; of a file, what is in it.

    Raises:
        StartError: something is not set, or a file cannot be read.
    """
    missing = [_variable(name) for name in names if not _is_set(getattr(settings, name))]
    if missing:
        msg = (
            f"The provider {provider} needs {', '.join(missing)}: set "
            f"{'it' if len(missing) == 1 else 'them'}, or take {provider} out of "
            "LENDWATT_PROVIDERS."
        )
        raise StartError(msg)
    return [_text(name, getattr(settings, name)) for name in names]


def _is_set(value: str | SecretStr | Path | None) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _text(name: str, value: str | SecretStr | Path) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, str):
        return value
    try:
        return value.read_text()
    except (OSError, UnicodeDecodeError) as wrong:
        msg = f"The file {value} cannot be read: set {_variable(name)} to the key's file."
        raise StartError(msg) from wrong


def _variable(name: str) -> str:
    return f"LENDWATT_{name}".upper()


def _not_installed(provider: str, missing: ModuleNotFoundError) -> StartError:
    msg = (
        f"The provider {provider} needs the library {missing.name}: install "
        f"'lendwatt[{provider}]', or take {provider} out of LENDWATT_PROVIDERS."
    )
    return StartError(msg)
