CREATE TABLE IF NOT EXISTS budget_spent (
    budget TEXT NOT NULL,
    seconds REAL NOT NULL,
    opened REAL NOT NULL,
    calls INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    PRIMARY KEY (budget, seconds, opened)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS budget_reserved (
    name TEXT PRIMARY KEY,
    budget TEXT NOT NULL,
    seconds REAL NOT NULL,
    opened REAL NOT NULL,
    run TEXT NOT NULL,
    calls INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS budget_runs (
    run TEXT PRIMARY KEY, budget TEXT NOT NULL, seconds REAL NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS budget_reserved_of ON budget_reserved (budget, seconds, opened);
