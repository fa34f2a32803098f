-- What the archive is asked and told. Each block is a function of topology.sql.queries: its name, one comment, the SQL.

-- name: migrations_table()#
-- Which migrations were applied.
CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

-- name: applied_migrations()
-- Their names.
SELECT name FROM migrations;

-- name: note_migration(name)!
-- One more.
INSERT INTO migrations (name) VALUES (:name);

-- name: offsets()
-- How far each partition is archived.
SELECT partition, topic_id, next, as_of FROM offsets;

-- name: add_offsets(topic_id, partitions)!
-- Partitions that are archived for the first time begin at the start of their log.
INSERT INTO offsets (partition, topic_id, next, as_of)
SELECT p, :topic_id, 0, to_timestamp(0) FROM unnest(:partitions::integer[]) AS p
ON CONFLICT (partition) DO NOTHING;

-- name: forget_positions(topic_id)!
-- The topic `events` was made anew: what was archived stays, and positions begin again.
WITH changed AS (UPDATE offsets SET topic_id = :topic_id, next = 0 WHERE topic_id <> :topic_id RETURNING partition),
     held AS (UPDATE deliveries SET position = -1 WHERE EXISTS (SELECT FROM changed))
UPDATE messages SET position = -1 WHERE EXISTS (SELECT FROM changed);

-- name: advance(partitions, expected, next, as_of)
-- Moves partitions on, each from where it is expected to be; gives those that were there.
UPDATE offsets SET next = moved.next, as_of = greatest(offsets.as_of, moved.as_of)
FROM unnest(:partitions::integer[], :expected::bigint[], :next::bigint[], :as_of::timestamptz[])
     AS moved (partition, expected, next, as_of)
WHERE offsets.partition = moved.partition AND offsets.next = moved.expected
RETURNING offsets.partition;

-- name: known_events(event_ids)
-- Which of these events are archived: an owner that crashed tells the last ones again.
SELECT event_id FROM events WHERE event_id = ANY(:event_ids::text[]);

-- name: make_events_month(month)$
-- A month of events, where it is missing.
SELECT make_events_month(:month::date);

-- name: staging()#
-- Where rows are copied to before they are merged; of this connection alone, empty after each transaction.
CREATE TEMP TABLE IF NOT EXISTS staged_messages ON COMMIT DELETE ROWS AS SELECT * FROM messages WITH NO DATA;
CREATE TEMP TABLE IF NOT EXISTS staged_deliveries ON COMMIT DELETE ROWS AS SELECT * FROM deliveries WITH NO DATA;

-- name: merge_messages()!
-- Staged messages into those that are there: what events did not say stays; an older position changes nothing.
INSERT INTO messages AS m
SELECT id, birth, partition, position, revision, state, coalesce(due_at, created_at), priority, account, flow,
       channels, tags, message, body, body_base64, created_at, updated_at, finished_at, erased
FROM staged_messages
ON CONFLICT (id, birth) DO UPDATE SET
    position = excluded.position,
    revision = excluded.revision,
    state = coalesce(excluded.state, m.state),
    due_at = CASE WHEN excluded.message IS NULL OR excluded.erased THEN m.due_at ELSE excluded.due_at END,
    priority = coalesce(excluded.priority, m.priority),
    account = CASE WHEN excluded.message IS NULL OR excluded.erased THEN m.account ELSE excluded.account END,
    flow = CASE WHEN excluded.message IS NULL OR excluded.erased THEN m.flow ELSE excluded.flow END,
    channels = coalesce(excluded.channels, m.channels),
    tags = coalesce(excluded.tags, m.tags),
    message = CASE WHEN excluded.erased THEN excluded.message ELSE coalesce(excluded.message, m.message) END,
    body = CASE WHEN excluded.message IS NULL AND NOT excluded.erased THEN m.body ELSE excluded.body END,
    body_base64 = CASE WHEN excluded.message IS NULL AND NOT excluded.erased THEN m.body_base64
                       ELSE excluded.body_base64 END,
    created_at = least(m.created_at, excluded.created_at),
    updated_at = excluded.updated_at,
    finished_at = CASE WHEN excluded.state IN ('scheduled', 'emitted', 'retrying') THEN NULL
                       ELSE coalesce(excluded.finished_at, m.finished_at) END,
    erased = m.erased OR excluded.erased
WHERE excluded.position > m.position;

-- name: merge_live_messages()!
-- Staged rows of the timetable: only what no event told. What has a position was told by events.
INSERT INTO messages AS m SELECT * FROM staged_messages
ON CONFLICT (id, birth) DO UPDATE SET
    revision = CASE WHEN m.position < 0 THEN excluded.revision ELSE m.revision END,
    state = CASE WHEN m.position < 0 OR m.state IS NULL THEN excluded.state ELSE m.state END,
    updated_at = CASE WHEN m.position < 0 THEN excluded.updated_at ELSE m.updated_at END,
    finished_at = CASE WHEN m.position < 0 THEN excluded.finished_at ELSE m.finished_at END,
    due_at = excluded.due_at,
    priority = excluded.priority,
    account = excluded.account,
    flow = excluded.flow,
    channels = excluded.channels,
    tags = excluded.tags,
    message = excluded.message,
    body = excluded.body,
    body_base64 = excluded.body_base64,
    created_at = excluded.created_at
WHERE (m.position < 0 OR m.message IS NULL) AND NOT m.erased;

-- name: merge_live_deliveries()!
-- The same for their deliveries.
INSERT INTO deliveries AS d SELECT * FROM staged_deliveries
ON CONFLICT (id, birth, target) DO UPDATE SET
    state = excluded.state,
    turn = excluded.turn,
    attempts = excluded.attempts,
    due_at = excluded.due_at,
    started_at = excluded.started_at,
    updated_at = excluded.updated_at,
    maybe_sent = excluded.maybe_sent,
    held = excluded.held,
    reason = excluded.reason,
    response = excluded.response
WHERE d.position < 0;

-- name: erase_events(first, after)!
-- What the events of an erased message held of it; its key begins with the id and the birth.
UPDATE events SET message = NULL, response = NULL
WHERE event_id >= :first AND event_id < :after AND (message IS NOT NULL OR response IS NOT NULL);

-- name: erase_deliveries(id, birth)!
-- What its receivers answered.
UPDATE deliveries SET response = NULL WHERE id = :id AND birth = :birth::bigint;

-- name: merge_deliveries()!
-- Staged deliveries into those that are there.
INSERT INTO deliveries AS d
SELECT * FROM staged_deliveries
ON CONFLICT (id, birth, target) DO UPDATE SET
    position = excluded.position,
    state = excluded.state,
    channel = excluded.channel,
    turn = excluded.turn,
    attempts = excluded.attempts,
    due_at = excluded.due_at,
    started_at = excluded.started_at,
    updated_at = excluded.updated_at,
    maybe_sent = excluded.maybe_sent,
    held = excluded.held,
    reason = excluded.reason,
    response = excluded.response
WHERE excluded.position > d.position;

-- name: messages_up(states, account, tag, channel, id_prefix, due_from, due_to, after_due, after_id, after_birth, limit)
-- A page of messages, by due time; each filter that is null asks nothing.
SELECT id, birth, state, due_at, revision, priority, account, flow, channels, tags, message, body, body_base64,
       created_at, updated_at, finished_at, erased
FROM messages
WHERE (:states::text[] IS NULL OR state = ANY(:states))
  AND (:account::text IS NULL OR account = :account)
  AND (:tag::text IS NULL OR (tags @> ARRAY[:tag::text] AND tags <> '{}'))
  AND (:channel::text IS NULL OR :channel = ANY(channels))
  AND (:id_prefix::text IS NULL OR id ^@ :id_prefix)
  AND (:due_from::timestamptz IS NULL OR due_at >= :due_from)
  AND (:due_to::timestamptz IS NULL OR due_at < :due_to)
  AND (:after_due::timestamptz IS NULL OR (due_at, id, birth) > (:after_due, :after_id, :after_birth::bigint))
ORDER BY due_at, id, birth
LIMIT :limit;

-- name: messages_down(states, account, tag, channel, id_prefix, due_from, due_to, after_due, after_id, after_birth, limit)
-- The same, the latest due first.
SELECT id, birth, state, due_at, revision, priority, account, flow, channels, tags, message, body, body_base64,
       created_at, updated_at, finished_at, erased
FROM messages
WHERE (:states::text[] IS NULL OR state = ANY(:states))
  AND (:account::text IS NULL OR account = :account)
  AND (:tag::text IS NULL OR (tags @> ARRAY[:tag::text] AND tags <> '{}'))
  AND (:channel::text IS NULL OR :channel = ANY(channels))
  AND (:id_prefix::text IS NULL OR id ^@ :id_prefix)
  AND (:due_from::timestamptz IS NULL OR due_at >= :due_from)
  AND (:due_to::timestamptz IS NULL OR due_at < :due_to)
  AND (:after_due::timestamptz IS NULL OR (due_at, id, birth) < (:after_due, :after_id, :after_birth::bigint))
ORDER BY due_at DESC, id DESC, birth DESC
LIMIT :limit;

-- name: matching(states, account, tag, channel, id_prefix, due_from, due_to, after_due, after_id, after_birth, limit)
-- A page of what a sweep is about, in the order of lists.
SELECT id, birth, revision, due_at FROM messages
WHERE state = ANY(:states::text[])
  AND (:account::text IS NULL OR account = :account)
  AND (:tag::text IS NULL OR (tags @> ARRAY[:tag::text] AND tags <> '{}'))
  AND (:channel::text IS NULL OR :channel = ANY(channels))
  AND (:id_prefix::text IS NULL OR id ^@ :id_prefix)
  AND (:due_from::timestamptz IS NULL OR due_at >= :due_from)
  AND (:due_to::timestamptz IS NULL OR due_at < :due_to)
  AND (:after_due::timestamptz IS NULL OR (due_at, id, birth) > (:after_due, :after_id, :after_birth::bigint))
ORDER BY due_at, id, birth
LIMIT :limit;

-- name: dead_letters(since, states, account, channel, after_at, after_id, after_birth, after_target, limit)
-- A page of deliveries that wait for a person, the oldest first. After 30 days their owner has forgotten them.
SELECT d.id, d.birth, d.target, d.state, d.channel, d.attempts, d.due_at, d.started_at, d.updated_at, d.maybe_sent,
       d.reason, d.response, m.account, m.tags, m.message
FROM deliveries d JOIN messages m ON m.id = d.id AND m.birth = d.birth
WHERE d.held AND d.updated_at > :since::timestamptz
  AND (:states::text[] IS NULL OR d.state = ANY(:states))
  AND (:account::text IS NULL OR m.account = :account)
  AND (:channel::text IS NULL OR d.channel = :channel)
  AND (:after_at::timestamptz IS NULL
       OR (d.updated_at, d.id, d.birth, d.target) > (:after_at, :after_id, :after_birth::bigint, :after_target::integer))
ORDER BY d.updated_at, d.id, d.birth, d.target
LIMIT :limit;

-- name: drop_events_before(moment)
-- Months of events that ended before a time.
SELECT drop_events_before(:moment::timestamptz) AS name;

-- name: forget_messages(moment, limit)!
-- Some messages that finished before a time, with their deliveries.
WITH gone AS (
    DELETE FROM messages WHERE (id, birth) IN (
        SELECT id, birth FROM messages WHERE finished_at < :moment::timestamptz LIMIT :limit
    ) RETURNING id, birth
)
DELETE FROM deliveries d USING gone WHERE d.id = gone.id AND d.birth = gone.birth;

-- name: counts()^
-- How many rows there are.
SELECT (SELECT count(*) FROM events) AS events, (SELECT count(*) FROM messages) AS messages,
       (SELECT count(*) FROM deliveries) AS deliveries, (SELECT count(*) FROM deliveries WHERE held) AS held,
       (SELECT min(at) FROM events) AS oldest;
