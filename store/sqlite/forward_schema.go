package sqlite

const forwardSchema = ``
