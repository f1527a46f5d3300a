package sqlite

// watchContradictions is what forwardContradictions is, for accounts and
// watches: nothing may wait that nobody will ever look at.
const watchContradictions = `
SELECT 'watch ' || id || ' is ' || state || ' and never due' FROM subscription
	WHERE due IS NULL AND leased = 0 AND (state = 'removing' OR (state = 'pending' AND last_error = ''))
UNION ALL
SELECT 'watch ' || id || ' is removed and due' FROM subscription WHERE state = 'removed' AND due IS NOT NULL
UNION ALL
SELECT 'watch ' || id || ' waits for a connection that is active' FROM subscription s
	WHERE s.state = 'pending' AND s.due IS NULL AND s.leased = 0
		AND EXISTS (SELECT 1 FROM connection c WHERE c.id = s.connection AND c.status = 'active')
		AND NOT EXISTS (SELECT 1 FROM dirty d WHERE d.connection = s.connection)
UNION ALL
SELECT 'connection ' || id || ' is closing and nobody goes on with it' FROM connection c
	WHERE closing = 1 AND NOT EXISTS (SELECT 1 FROM dirty d WHERE d.connection = c.id)
		AND NOT EXISTS (SELECT 1 FROM subscription s WHERE s.connection = c.id AND s.state = 'removing')
UNION ALL
SELECT 'task ' || id || ' belongs to a watch that is gone' FROM task t
	WHERE kind IN ('expand', 'poll')
		AND NOT EXISTS (SELECT 1 FROM subscription s WHERE s.id = t.subscription AND s.state NOT IN ('removing', 'removed'))
UNION ALL
SELECT 'key ' || key || ' leads to a watch that is gone' FROM route r
	WHERE subscription <> ''
		AND NOT EXISTS (SELECT 1 FROM subscription s WHERE s.id = r.subscription AND s.state NOT IN ('removing', 'removed'))
LIMIT 20`
