CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE requests (
  key TEXT PRIMARY KEY,
  grp TEXT NOT NULL,
  content TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('owed', 'in flight', 'answered')),
  most_cost REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL REFERENCES requests,
  ended REAL NOT NULL,
  outcome TEXT NOT NULL,
  seconds REAL NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cost REAL NOT NULL,
  detail TEXT NOT NULL
);
CREATE TABLE answers (
  key TEXT PRIMARY KEY REFERENCES requests,
  text NOT NULL,
  finish_reason TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  received REAL NOT NULL
) WITHOUT ROWID;
