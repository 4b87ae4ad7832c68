-- The shape of a graph store with digests, moments and states in CHECKs, composite foreign keys, and triggers.
CREATE TABLE store_identity (
  singleton INTEGER PRIMARY KEY CHECK (singleton = 1), store_id TEXT NOT NULL CHECK (length(store_id) = 32 AND store_id NOT GLOB '*[^0-9a-f]*'),
  identity TEXT NOT NULL CHECK (identity = 'projection-v3')
) WITHOUT ROWID;
CREATE TABLE epochs (
  epoch TEXT PRIMARY KEY,
  owner_digest TEXT NOT NULL CHECK (length(owner_digest) = 71 AND substr(owner_digest, 1, 7) = 'sha256:' AND substr(owner_digest, 8) NOT GLOB '*[^0-9a-f]*'),
  state TEXT NOT NULL CHECK (state IN ('open', 'revoked')),
  opened_at TEXT NOT NULL CHECK (length(opened_at) = 27 AND substr(opened_at, 11, 1) = 'T' AND substr(opened_at, 20, 1) = '.' AND substr(opened_at, 27, 1) = 'Z' AND datetime(opened_at) IS NOT NULL),
  revoked_at TEXT CHECK (revoked_at IS NULL OR (length(revoked_at) = 27 AND substr(revoked_at, 11, 1) = 'T' AND datetime(revoked_at) IS NOT NULL))
) WITHOUT ROWID;
CREATE TABLE generations (
  generation TEXT PRIMARY KEY,
  account TEXT NOT NULL CHECK (length(account) = 67 AND substr(account, 1, 3) = 'a1:' AND substr(account, 4) NOT GLOB '*[^0-9a-f]*'),
  status TEXT NOT NULL CHECK (status IN ('building', 'validated', 'active', 'retired')), version INTEGER NOT NULL CHECK (version = 3),
  content TEXT NOT NULL CHECK (json_valid(content) AND json_type(content) = 'object'),
  nodes INTEGER NOT NULL DEFAULT 0 CHECK (nodes >= 0), witness INTEGER CHECK (witness IS NULL OR witness > 0),
  epoch TEXT, owner_pid INTEGER NOT NULL CHECK (owner_pid > 0), UNIQUE (generation, account), FOREIGN KEY (epoch) REFERENCES epochs(epoch)
) WITHOUT ROWID;
CREATE UNIQUE INDEX one_active ON generations (account) WHERE status = 'active';
CREATE TABLE nodes (
  generation TEXT NOT NULL, account TEXT NOT NULL CHECK (length(account) = 67 AND substr(account, 1, 3) = 'a1:'),
  node TEXT NOT NULL CHECK (length(node) = 67 AND substr(node, 1, 3) = 'g1:' AND substr(node, 4) NOT GLOB '*[^0-9a-f]*'),
  kind TEXT NOT NULL CHECK (kind IN ('person', 'message', 'topic')), properties TEXT NOT NULL CHECK (json_valid(properties) AND json_type(properties) = 'object'),
  PRIMARY KEY (generation, account, node), FOREIGN KEY (generation, account) REFERENCES generations(generation, account) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TRIGGER nodes_are_flat BEFORE INSERT ON nodes
WHEN EXISTS (SELECT 1 FROM json_each(NEW.properties) AS each WHERE each.type IN ('array', 'object'))
BEGIN
  SELECT RAISE(ABORT, 'a property is not a plain value');
END;
CREATE TABLE edges (
  generation TEXT NOT NULL, account TEXT NOT NULL, edge TEXT NOT NULL CHECK (length(edge) = 67 AND substr(edge, 1, 3) = 'e1:'),
  source TEXT NOT NULL CHECK (length(source) = 67), target TEXT NOT NULL CHECK (length(target) = 67),
  relation TEXT NOT NULL CHECK (relation IN ('contains', 'sent', 'precedes')), place INTEGER CHECK (place IS NULL OR place >= 0),
  PRIMARY KEY (generation, account, edge),
  FOREIGN KEY (generation, account) REFERENCES generations(generation, account) ON DELETE CASCADE,
  FOREIGN KEY (generation, account, source) REFERENCES nodes(generation, account, node) ON DELETE CASCADE,
  FOREIGN KEY (generation, account, target) REFERENCES nodes(generation, account, node) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE documents (
  generation TEXT NOT NULL, account TEXT NOT NULL, revision INTEGER NOT NULL CHECK (revision >= 0),
  document TEXT NOT NULL CHECK (json_valid(document) AND json_extract(document, '$.account') = account AND json_extract(document, '$.version') = '3'),
  PRIMARY KEY (generation, account), FOREIGN KEY (generation, account) REFERENCES generations(generation, account)
) WITHOUT ROWID;
CREATE TABLE metrics (
  generation TEXT NOT NULL, account TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('centrality', 'community')), algorithm TEXT NOT NULL,
  result TEXT NOT NULL CHECK (json_valid(result)), PRIMARY KEY (generation, account, kind, algorithm),
  FOREIGN KEY (generation, account) REFERENCES generations(generation, account)
) WITHOUT ROWID;
CREATE TABLE evidence (
  id TEXT PRIMARY KEY, mode TEXT NOT NULL CHECK (mode IN ('snapshot', 'reference')), content TEXT,
  CHECK ((mode = 'snapshot' AND content IS NOT NULL) OR (mode = 'reference' AND content IS NULL))
) STRICT;
