package sqlite

// laneSchema2 is since when a lane fails.
const laneSchema2 = ``
