"""Which parties said something in a log, as facts of all its transfers.

Projections that are there already get the facts that making them again would give.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index("api_keys_log_party_idx", "api_keys", ["log", "party"])
    op.execute(
        """
        INSERT INTO transfer_facts
            (log, subject, phase, name, value, count, first_time, last_time, "first", "last")
        SELECT e.log, '*', phase.text, 'party', party.text,
            count(*), min(e.time), max(e.time), min(e.position), max(e.position)
        FROM events AS e
            JOIN projections AS p ON p.log = e.log AND e.position < p.projected
            JOIN names AS phase ON phase.log = e.log AND phase.id = e.phase
            JOIN names AS party ON party.log = e.log AND party.id = e.party
        GROUP BY e.log, phase.text, party.text
        """
    )


def downgrade() -> None:
    op.drop_index("api_keys_log_party_idx", "api_keys")
    op.execute("DELETE FROM transfer_facts WHERE subject = '*' AND name = 'party'")
