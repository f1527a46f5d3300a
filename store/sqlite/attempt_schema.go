package sqlite

// attemptSchema2 is what attempts and retention keep.
const attemptSchema2 = ``
