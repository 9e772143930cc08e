"""From targets to pushes: templates compiled once, rendered once for all phones that would get the same."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from hub.dates import parse_date
from hub.errors import InvalidRequestError, TemplateError
from hub.installation import Template
from hub.notification import NativeContent, Notification, Platform
from hub.senders.base import Push
from hub.store.base import Store, StoredTemplate, Target
from hub.templates import CompiledTemplate, Rendered, compile_template

_COMPILED_KEPT = 4096

_Key = tuple[int, Platform]


class Rendering:
    """Makes the pushes of notifications; keeps the templates used last, compiled."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._compiled: OrderedDict[_Key, CompiledTemplate | None] = OrderedDict()

    async def prepare(self, targets: Sequence[Target]) -> None:
        """Have the templates of these targets at hand. Raises: StoreError."""
        missing: set[_Key] = set()
        for target in targets:
            if target.template is not None:
                key = (target.template, target.platform)
                if key in self._compiled:
                    self._compiled.move_to_end(key)
                else:
                    missing.add(key)
        if not missing:
            return
        stored = await self._store.templates(sorted({template for template, _ in missing}))
        for template, platform in missing:
            self._compiled[template, platform] = _compiled(stored.get(template), platform)

    def trim(self) -> None:
        """Forget templates not used for long; call when no pushes are being made."""
        while len(self._compiled) > _COMPILED_KEPT:
            self._compiled.popitem(last=False)

    def pushes(self, notification: Notification, targets: Sequence[Target]) -> list[Push | None]:
        """A push for each target, in order; None where its template cannot be filled any more.

        The id is a UUID made of the notification's id and the registration's ordinal, so every try has the same.
        """
        id_ = notification.id
        prefix = f"{id_[:8]}-{id_[8:12]}-{id_[12:16]}-{id_[16:20]}-"
        content = notification.content
        native = Rendered(content.payload, content.headers) if isinstance(content, NativeContent) else None
        shared: dict[int, Rendered] = {}
        expiries: dict[str, Mapping[str, str]] = {}
        made: list[Push | None] = []
        for target in targets:
            rendered = native or self._rendered(notification, target, shared)
            if rendered is None:
                made.append(None)
                continue
            headers = rendered.headers
            if rendered.expiry:
                if rendered.expiry not in expiries:
                    expiries[rendered.expiry] = _with_expiry(headers, rendered.expiry)
                headers = expiries[rendered.expiry]
            made.append(
                Push(
                    id=f"{prefix}{target.ordinal:012x}",
                    push_channel=target.push_channel,
                    payload=rendered.payload,
                    headers=headers,
                    priority=notification.priority,
                    expires_at=notification.expires_at,
                    collapse_key=notification.collapse_key,
                )
            )
        return made

    def _rendered(self, notification: Notification, target: Target, shared: dict[int, Rendered]) -> Rendered | None:
        template = target.template
        assert template is not None
        ready = shared.get(template)
        if ready is not None and not target.push_variables:
            return ready
        compiled = self._compiled[template, target.platform]
        if compiled is None:
            return None
        assert not isinstance(notification.content, NativeContent)
        properties = notification.content.properties
        variables = target.push_variables or {}
        if any(name.lower() in compiled.names for name in variables):
            return compiled.render(properties, variables)
        if ready is None:
            ready = shared[template] = compiled.render(properties, {})
        return ready


def _compiled(stored: StoredTemplate | None, platform: Platform) -> CompiledTemplate | None:
    """None for what is gone from the store, or was registered under laxer rules than today's."""
    if stored is None:
        return None
    try:
        return compile_template(Template(body=stored.body, headers=stored.headers, expiry=stored.expiry), platform)
    except TemplateError:
        return None


def _with_expiry(headers: Mapping[str, str], expiry: str) -> Mapping[str, str]:
    """`headers` with what APNs wants to hear: seconds since 1970, or `0` for "now or never".

    An expression may have come to no date; then the notification's own expiry stands.
    """
    try:
        seconds = expiry if expiry.isdigit() else str(int(parse_date(expiry).timestamp()))
    except InvalidRequestError:
        return headers
    return {**headers, "apns-expiration": seconds}
