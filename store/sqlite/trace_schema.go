package sqlite

// traceSchema2 is where an event was first seen in a trace.
const traceSchema2 = ``
