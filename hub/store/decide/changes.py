"""The rows that changes on devices come to. No database."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from hub.store.decide.device import StoredDevice
from hub.store.decide.tag_index import TagChanges


@dataclass(slots=True, kw_only=True)
class Changes:
    """Rows to write: devices to put and to drop, (ordinal, device, template) of registrations, free ordinals, tags.

    `earlier` are (ordinal, template) of registrations that have that template no longer.

    `first_new` is an ordinal that no registration ever had, of those that have something in `tags.new`; `first_gone` one of
    those that have something in `tags.gone`.
    """

    put: list[StoredDevice] = field(default_factory=list)
    dropped: list[StoredDevice] = field(default_factory=list)
    registrations: list[tuple[int, int, int | None]] = field(default_factory=list)
    freed: list[int] = field(default_factory=list)
    earlier: list[tuple[int, int]] = field(default_factory=list)
    tags: TagChanges = field(default_factory=TagChanges)
    first_new: int | None = None
    first_gone: int | None = None

    def create(self, device: StoredDevice, *, used: Collection[int] | None) -> None:
        """Add a device that there was not. `used` are ordinals that were a registration's before; None: any may be."""
        registrations = [(each, device.ordinal, template) for each, template in device.registrations()]
        self.put.append(device)
        self.registrations += registrations
        if used is None or (used and any(each in used for each, _, _ in registrations)):
            self.tags.add(device.carried())
        else:
            self.tags.add_new(device.carried())
            self.first_new = device.ordinal

    def change(self, before: StoredDevice, after: StoredDevice | None, *, at_once: bool) -> None:
        """Add what becomes of a device that there was. None: it is gone, and leaves the index `at_once` or later."""
        old = dict(before.registrations())
        new = {} if after is None else dict(after.registrations())
        if after is None:
            self.dropped.append(before)
            carried = before.carried() + before.left_behind()
            if at_once:
                self.tags.replace(carried, ())
            else:
                self.tags.drop(carried)
                self.first_gone = before.ordinal
        else:
            self.put.append(after)
            if not after.carries_as(before):
                self.tags.replace(before.carried(), after.carried())
        self.registrations += [
            (each, before.ordinal, new[each]) for each in new if each not in old or old[each] != new[each]
        ]
        self.freed += [each for each in old if each not in new]
        if before.templates:
            self.earlier += _earlier_templates(before, after)


def _earlier_templates(before: StoredDevice, after: StoredDevice | None) -> Iterator[tuple[int, int]]:
    """What registrations had as template that have another one now; of a device that is gone nothing is shown."""
    if after is None or after.templates == before.templates:
        return
    now = {each.ordinal: each.template for each in after.templates}
    for each in before.templates:
        if each.ordinal in now and now[each.ordinal] != each.template:
            yield each.ordinal, each.template
