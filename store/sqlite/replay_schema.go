package sqlite

// replaySchema2 is replays by filter.
const replaySchema2 = ``
