"""What the gate, which stands before a served model, says of films for training."""

from collections import Counter

from osteolens.audit.findings import Collection, Finding, many
from osteolens.films.gate import AS_IT_SHOULD

LEAST_ACCEPTED = 0.5
"""Share of the pictures that must pass before the gate's word on the others counts: it knows knees from the front."""


def gate_findings(collection: Collection) -> tuple[list[Finding], list[str]]:
    """Films that lie turned or inverted, pictures that would be refused, and why nothing is said of other pictures."""
    looks = {number: collection.seen[number] for number in collection.own if number in collection.seen}
    lying = {number: look.lie for number, look in looks.items() if look.lie != AS_IT_SHOULD}
    refused = {number: look.refused for number, look in looks.items() if look.refused}
    if len(refused) > (1 - LEAST_ACCEPTED) * len(looks):
        tally = f"{len(refused):,} of {len(looks):,}"
        return [], [
            f"whether single pictures are knees from the front: the gate refuses {tally}, so it is made for others"
        ]
    findings = []
    if lying:
        findings.append(
            Finding(
                "turned-or-inverted",
                "warning",
                f"{many(len(lying), 'film lies', 'films lie')} turned or inverted.",
                "A server puts such films right before it answers them; training takes them as they lie.",
                "Turn them back, and invert those with dark bones, in copies of the files; or leave them out.",
                len(lying),
                numbers=tuple(lying),
                lines=tuple(
                    f"{collection.rows[number].file}: {', '.join(each.code for each in lie.corrections)}"
                    for number, lie in lying.items()
                ),
            )
        )
    if refused:
        codes = Counter(reason.code for reasons in refused.values() for reason in reasons)
        findings.append(
            Finding(
                "refused-by-gate",
                "warning",
                f"{many(len(refused), 'picture')} would be refused by a server "
                f"({', '.join(f'{count:,} {code}' for code, count in codes.most_common())}).",
                "They may show something else than a knee from the front, or an implant, or be too dark or blurred: a "
                "model should learn from such pictures as it will be asked about.",
                "Look at them, and leave out what no user would send; docs/gate.md says how often it is wrong.",
                len(refused),
                numbers=tuple(refused),
                lines=tuple(
                    f"{collection.rows[number].file}: {'; '.join(each.message for each in reasons)}"
                    for number, reasons in refused.items()
                ),
            )
        )
    return findings, []
