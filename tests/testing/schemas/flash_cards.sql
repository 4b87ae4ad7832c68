-- The shape of a flash card program's file, with a collation of the application.
create table col (id integer primary key, crt integer not null, scm integer not null, ver integer not null, conf text not null, models text not null);
create table notes (id integer primary key, guid text not null, mid integer not null, usn integer not null, tags text not null, flds text not null, sfld integer not null, csum integer not null, data text not null);
create table cards (id integer primary key, nid integer not null, did integer not null, ord integer not null, type integer not null, queue integer not null, due integer not null, ivl integer not null, factor integer not null, data text not null);
create table revlog (id integer primary key, cid integer not null, usn integer not null, ease integer not null, lastIvl integer not null, time integer not null);
create table graves (oid integer not null, type integer not null, usn integer not null, primary key (oid, type)) without rowid;
create table fields (ntid integer not null, ord integer not null, name text not null collate unicase, config blob not null, primary key (ntid, ord)) without rowid;
create unique index idx_fields_name on fields (name, ntid);
create table templates (ntid integer not null, ord integer not null, name text not null collate unicase, mtime integer not null, config blob not null, primary key (ntid, ord)) without rowid;
create unique index idx_templates_name on templates (name, ntid);
create table notetypes (id integer not null primary key, name text not null collate unicase, mtime integer not null, config blob not null);
create unique index idx_notetypes_name on notetypes (name);
create table decks (name text not null primary key collate unicase, id integer not null, mtime integer not null, common bytes not null, kind bytes not null);
create unique index idx_decks_id on decks (id);
create table deck_config (id integer primary key not null, name text not null collate unicase, mtime integer not null, config blob not null);
create table config (key text not null primary key, usn integer not null, mtime integer not null, val blob not null) without rowid;
create table tags (tag text not null primary key collate unicase, usn integer not null, collapsed boolean not null, config blob) without rowid;
