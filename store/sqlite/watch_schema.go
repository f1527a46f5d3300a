package sqlite

// watchSchema2 finds the few that are being worked on among all that wait.
const watchSchema2 = `
CREATE INDEX dirty_leased ON dirty (leased) WHERE leased <> 0;
`
