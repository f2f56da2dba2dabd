"""Where the ports meet the world: databases, chains, keys on disk. Only `ledger.bootstrap` imports from here."""
