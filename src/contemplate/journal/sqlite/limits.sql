CREATE TABLE IF NOT EXISTS limit_accounts (
    account TEXT PRIMARY KEY,
    allowed TEXT NOT NULL,
    state TEXT NOT NULL,
    turn INTEGER NOT NULL,
    arrivals INTEGER NOT NULL,
    latest REAL NOT NULL,
    due REAL,
    head TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS limit_gates (
    gate TEXT PRIMARY KEY, account TEXT NOT NULL, expires REAL NOT NULL, suspected INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS limit_calls (
    call TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    gate TEXT NOT NULL,
    run TEXT NOT NULL,
    tokens REAL NOT NULL,
    turn INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    number INTEGER,
    probe INTEGER NOT NULL DEFAULT 0,
    starts REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS limit_calls_waiting ON limit_calls (account, turn, arrival) WHERE number IS NULL;
CREATE INDEX IF NOT EXISTS limit_calls_of_run ON limit_calls (account, run) WHERE number IS NULL;
CREATE INDEX IF NOT EXISTS limit_calls_of_gate ON limit_calls (gate);
