-- The shape of a customer database that states its rules in CHECKs: contacts, pipelines, leads, conversations.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE contacts (
  id TEXT PRIMARY KEY, name TEXT,
  email TEXT CHECK (email IS NULL OR email LIKE '_%@_%._%'),
  email_normal TEXT GENERATED ALWAYS AS (lower(trim(email))) STORED,
  phone TEXT CHECK (phone IS NULL OR (phone GLOB '+[1-9]*' AND phone NOT GLOB '+*[^0-9]*' AND length(phone) BETWEEN 9 AND 16)),
  chat_id TEXT CHECK (chat_id IS NULL OR (chat_id NOT GLOB '*[^0-9]*' AND length(chat_id) BETWEEN 8 AND 15)),
  blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)), blocked_at INTEGER,
  anonymous INTEGER NOT NULL DEFAULT 0 CHECK (anonymous IN (0, 1)), anonymous_at INTEGER,
  merged_into TEXT REFERENCES contacts(id) ON DELETE RESTRICT, merged_at INTEGER,
  consent TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(consent)),
  source TEXT NOT NULL DEFAULT 'manual', created_at INTEGER NOT NULL,
  CHECK (blocked = 0 OR blocked_at IS NOT NULL),
  CHECK (anonymous = 0 OR anonymous_at IS NOT NULL),
  CHECK ((merged_into IS NULL) = (merged_at IS NULL)),
  CHECK (merged_into IS NULL OR merged_into <> id)
);
CREATE UNIQUE INDEX one_phone ON contacts (phone) WHERE phone IS NOT NULL AND merged_into IS NULL;
CREATE UNIQUE INDEX one_email ON contacts (email_normal) WHERE email_normal IS NOT NULL AND merged_into IS NULL;
CREATE TABLE tags (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, color TEXT CHECK (color IS NULL OR (length(color) = 7 AND color GLOB '#[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]')));
CREATE TABLE contact_tags (contact_id TEXT NOT NULL REFERENCES contacts(id) ON DELETE CASCADE, tag_id TEXT NOT NULL REFERENCES tags(id) ON DELETE CASCADE, PRIMARY KEY (contact_id, tag_id)) WITHOUT ROWID;
CREATE TABLE pipelines (
  id TEXT PRIMARY KEY, name TEXT NOT NULL,
  slug TEXT NOT NULL UNIQUE CHECK (slug NOT GLOB '*[^a-z0-9_-]*' AND length(slug) BETWEEN 2 AND 40),
  is_default INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)), vocabulary TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(vocabulary))
);
CREATE UNIQUE INDEX one_default ON pipelines (is_default) WHERE is_default = 1;
CREATE TABLE stages (
  id TEXT PRIMARY KEY, pipeline_id TEXT NOT NULL REFERENCES pipelines(id) ON DELETE CASCADE,
  slug TEXT NOT NULL CHECK (slug NOT GLOB '*[^a-z0-9_-]*' AND length(slug) BETWEEN 2 AND 40),
  won INTEGER NOT NULL DEFAULT 0 CHECK (won IN (0, 1)), lost INTEGER NOT NULL DEFAULT 0 CHECK (lost IN (0, 1)),
  hours INTEGER CHECK (hours IS NULL OR hours > 0),
  CHECK (NOT (won = 1 AND lost = 1)), UNIQUE (pipeline_id, slug), UNIQUE (id, pipeline_id)
);
CREATE TABLE leads (
  id TEXT PRIMARY KEY, pipeline_id TEXT NOT NULL, stage_id TEXT NOT NULL, contact_id TEXT REFERENCES contacts(id),
  title TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'won', 'lost')), lost_reason TEXT,
  cents INTEGER CHECK (cents IS NULL OR cents >= 0),
  currency TEXT NOT NULL DEFAULT 'EUR' CHECK (length(currency) = 3 AND currency NOT GLOB '*[^A-Z]*'),
  expected TEXT CHECK (expected IS NULL OR date(expected) = expected), closed_at INTEGER,
  source TEXT NOT NULL DEFAULT 'manual', external_id TEXT,
  FOREIGN KEY (stage_id, pipeline_id) REFERENCES stages (id, pipeline_id),
  CHECK ((status = 'open' AND closed_at IS NULL) OR (status IN ('won', 'lost') AND closed_at IS NOT NULL)),
  CHECK (status <> 'lost' OR length(trim(coalesce(lost_reason, ''))) > 0)
);
CREATE UNIQUE INDEX one_external ON leads (source, external_id) WHERE external_id IS NOT NULL;
CREATE TABLE lead_tags (lead_id TEXT NOT NULL REFERENCES leads(id), tag_id TEXT NOT NULL REFERENCES tags(id), PRIMARY KEY (lead_id, tag_id)) WITHOUT ROWID;
CREATE TABLE lead_links (
  id TEXT PRIMARY KEY, lead_id TEXT NOT NULL REFERENCES leads(id), target_kind TEXT NOT NULL CHECK (target_kind IN ('contact', 'message', 'order')),
  target_id TEXT NOT NULL, link_kind TEXT NOT NULL, UNIQUE (lead_id, target_kind, target_id, link_kind)
);
CREATE TABLE conversations (
  id TEXT PRIMARY KEY, contact_id TEXT NOT NULL REFERENCES contacts(id), number_id TEXT NOT NULL, outside_id TEXT UNIQUE,
  status TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'machine', 'human', 'closed')),
  assigned_to TEXT, assigned_at INTEGER, unread INTEGER NOT NULL DEFAULT 0 CHECK (unread >= 0),
  CHECK ((assigned_to IS NULL) = (assigned_at IS NULL)), UNIQUE (contact_id, number_id)
);
CREATE TABLE messages (
  id TEXT PRIMARY KEY, conversation_id TEXT NOT NULL REFERENCES conversations(id), external_id TEXT,
  direction TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
  type TEXT NOT NULL CHECK (type IN ('text', 'image', 'template', 'system')),
  status TEXT NOT NULL CHECK (status IN ('queued', 'accepted', 'sent', 'delivered', 'read', 'failed', 'received')),
  template_name TEXT, template_language TEXT, parameters TEXT CHECK (parameters IS NULL OR json_valid(parameters)),
  sent_via TEXT NOT NULL CHECK (sent_via IN ('contact', 'people', 'machine', 'api')), failed_at INTEGER,
  CHECK ((direction = 'inbound') = (status = 'received')),
  CHECK ((direction = 'inbound') = (sent_via = 'contact')),
  CHECK (direction = 'outbound' OR external_id IS NOT NULL),
  CHECK (status NOT IN ('accepted', 'sent', 'delivered', 'read') OR external_id IS NOT NULL),
  CHECK (type <> 'template' OR (template_name IS NOT NULL AND template_language IS NOT NULL)),
  CHECK (status <> 'failed' OR failed_at IS NOT NULL)
);
CREATE UNIQUE INDEX one_message ON messages (external_id) WHERE external_id IS NOT NULL;
CREATE TABLE revisions (
  id TEXT PRIMARY KEY, lead_id TEXT NOT NULL REFERENCES leads(id), actor TEXT NOT NULL CHECK (actor IN ('owner', 'manager')), run_id TEXT NULL,
  trigger_kind TEXT NOT NULL CHECK (trigger_kind IN ('owner_edit', 'instruction', 'reopen')),
  fields TEXT NOT NULL CHECK (json_valid(fields) AND json_type(fields) = 'array'),
  CHECK ((actor = 'manager') = (run_id IS NOT NULL)), CHECK ((actor = 'owner') = (trigger_kind = 'owner_edit'))
);
