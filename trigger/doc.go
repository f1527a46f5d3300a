// Package trigger holds the nouns that every other package speaks: [Definition]
// (what can happen at a product), [Event] (it happened, for one connected
// account) and [Filter] (we want to hear of it).
//
// Connectors fill Definitions, forwarding settings hold Filters, handlers and
// receivers get Events. The package imports the standard library only, so a
// service that merely receives events can use it for free.
//
// Start with [Event]; [Decode] turns its payload into a Go struct.
package trigger
