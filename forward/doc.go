// Package forward receives what providers send, keeps it, and delivers it.
//
//	provider ──▶ Forwarder.ServeHTTP ── verified, durable ──▶ 2xx
//	                      └─ Forwarder.Run ── signed, retried ──▶ Settings.URL or OnEvent
//
// A [Forwarder] works on its own, without accounts or OAuth: give it connectors
// that know their webhook secret, a store and a URL. Package interactor builds
// one for you when accounts come in.
//
// # Promise
//
// A request that was answered with 2xx is on disk. Its events are delivered at
// least once, whatever crashes in between; duplicates share their ID. What
// cannot be verified is answered 401 and reaches nobody.
//
// # Inside
//
// ServeHTTP finds the address, verifies, decodes, asks the [Directory] whom it
// concerns, and stores events and tasks in one commit. While Run is running,
// what fits is handed to it in memory, already leased, so that nothing is read
// back on the way to the receiver; the rest waits in the [Store] and is claimed
// by due time. A lane is the queue of one destination ("dest:" and an
// Environment) or of one Connection ("conn:"); lanes take turns.
package forward
