"""Final chains in which something is not as it was, for tests of checkers."""

from msgspec.structs import replace

from chain.codec import encode
from chain.contract import event_fields


def altered(chain, name, change):
    """The chain in which the first event of a name is what `change` makes of its fields: fields, None, or a list."""
    done = False
    result = []
    for block, receipts in chain:
        told = []
        for receipt in receipts:
            events = []
            for event in receipt.events:
                if event.name != name or done:
                    events.append(event)
                    continue
                done = True
                made = change(event_fields(event))
                made = made if isinstance(made, list) else [made] if made is not None else []
                events += [replace(event, data=encode(tuple(sorted(fields.items())))) for fields in made]
            told.append(replace(receipt, events=tuple(events)))
        result.append((block, tuple(told)))
    assert done
    return result


def without(chain, name):
    return altered(chain, name, lambda _: None)


def twice(chain, name):
    return altered(chain, name, lambda fields: [fields, fields])


def again(chain, name):
    """What a transaction did is in the block after it once more."""
    place = next(n for n, (_, receipts) in enumerate(chain) if any(e.name == name for r in receipts for e in r.events))
    block, receipts = chain[place]
    header = replace(block.header, height=len(chain) + 1)
    return [*chain, (replace(block, header=header), receipts)]
