"""The encrypted store: SQLCipher connection, transactions and all SQL."""
