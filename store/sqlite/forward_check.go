package sqlite

// forwardContradictions finds what has neither an owner nor a due time, or says
// two things at once. It reads everything and must find nothing, whatever
// happened before.
const forwardContradictions = `
SELECT 'delivery ' || id || ' is pending and never due' FROM task WHERE kind = 'deliver' AND status = 0 AND due IS NULL AND series = ''
UNION ALL
SELECT 'delivery ' || id || ' waits for nothing' FROM task AS t WHERE status = 0 AND due IS NULL AND series <> ''
	AND turn = (SELECT min(turn) FROM task INDEXED BY task_series WHERE lane = t.lane AND series = t.series AND series <> '' AND status = 0)
UNION ALL
SELECT 'delivery ' || id || ' is due before its turn' FROM task AS t WHERE status = 0 AND (due IS NOT NULL OR lease <> 0) AND series <> ''
	AND turn <> (SELECT min(turn) FROM task INDEXED BY task_series WHERE lane = t.lane AND series = t.series AND series <> '' AND status = 0)
UNION ALL
SELECT 'lane ' || lane || ' is kept and says nothing' FROM lane WHERE failing = 0 AND rest = 0
UNION ALL
SELECT 'lane ' || lane || ' is paused and its replays are not' FROM pause
	WHERE lane LIKE 'dest:%' AND 'bulk:' || substr(lane, 6) NOT IN (SELECT lane FROM pause)
UNION ALL
SELECT 'delivery ' || id || ' is finished and due' FROM task WHERE kind = 'deliver' AND status <> 0 AND (due IS NOT NULL OR lease <> 0)
UNION ALL
SELECT 'task ' || id || ' is never due' FROM task WHERE kind = 'expand' AND due IS NULL
UNION ALL
SELECT 'delivery ' || id || ' has no event' FROM task WHERE kind = 'deliver' AND event NOT IN (SELECT id FROM event)
UNION ALL
SELECT 'event ' || id || ' has lost a delivery' FROM event AS e
	WHERE deliveries <> (delivery <> '' AND EXISTS (SELECT 1 FROM task WHERE id = delivery AND event = e.id))
		+ (SELECT count(*) FROM task INDEXED BY task_later WHERE event = e.id AND later = 1)
UNION ALL
SELECT 'event ' || id || ' contradicts its deliveries' FROM event AS e
	WHERE (status = 0) <> (EXISTS (SELECT 1 FROM task WHERE id = delivery AND status = 0)
		OR EXISTS (SELECT 1 FROM task INDEXED BY task_later WHERE event = e.id AND later = 1 AND status = 0))
UNION ALL
SELECT 'event ' || id || ' has no payload' FROM event WHERE payload <> 0 AND payload NOT IN (SELECT n FROM payload)
UNION ALL
SELECT 'payload ' || n || ' has no event' FROM payload WHERE n NOT IN (SELECT payload FROM event)
UNION ALL
SELECT 'attempt ' || n || ' has no delivery' FROM attempt WHERE task NOT IN (SELECT id FROM task)
UNION ALL
SELECT 'delivery ' || id || ' waits for a replay that is not there' FROM task WHERE job <> '' AND status = 0 AND job NOT IN (SELECT id FROM replay)
UNION ALL
SELECT 'delivery ' || id || ' waits though its replay was cancelled' FROM task
	WHERE job <> '' AND status = 0 AND lease = 0 AND job IN (SELECT id FROM replay WHERE state = 2)
UNION ALL
SELECT 'replay ' || id || ' runs and is never due' FROM replay WHERE state = 0 AND (due IS NULL OR ended IS NOT NULL)
UNION ALL
SELECT 'replay ' || id || ' has ended and is due' FROM replay WHERE state <> 0 AND (due IS NOT NULL OR ended IS NULL)
UNION ALL
SELECT 'replay ' || id || ' is done before its deliveries' FROM replay
	WHERE state = 1 AND (selected_all = 0 OR id IN (SELECT job FROM task WHERE job <> '' AND status = 0))
UNION ALL
SELECT 'request ' || id || ' has no event' FROM inbound WHERE id NOT IN (SELECT id FROM event)
UNION ALL
SELECT 'erasure of ' || account || ' in ' || environment || ' names nobody or is never due' FROM erasure WHERE account = '' OR due <= 0
LIMIT 20`
