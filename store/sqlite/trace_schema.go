package sqlite

// traceSchema2 is where what is done about a task belongs in a trace.
const traceSchema2 = `
ALTER TABLE task ADD COLUMN trace TEXT NOT NULL DEFAULT ''; -- W3C traceparent of the commit; '' without tracing
`
