// Command bench measures what forwarding costs, by ratios: the same load goes, in
// turns, to three servers on the same machine.
//
//	go run ./bench                       # everything, about half an hour
//	go run ./bench -quick                # shows that it works, not how fast it is
//	go run ./bench -scenario steady -markdown
//
// raw is bare net/http in and out. relay is the whole pipeline of
// examples/server (handler, verify, decode, envelope, signing, lanes, HTTP client)
// over a store that keeps nothing, and it too answers before it sends. ours is the
// same over SQLite with a full fsync before each answer. What ours takes beyond
// the relay is the price of durability; what the relay takes beyond raw is that of
// the pipeline.
//
// Server, load generator and receiver are processes of their own, started from
// this one binary. Generator and receiver are lean, because they share the
// machine's processors with what they measure. The generator sends signed
// requests on a fixed number of connections: at full load each connection sends
// its next request after the answer to the last one, and no more than -window
// events are on their way; at a fixed rate a request counts from the time at which
// it was to be sent, whatever became of those before. Start with main.go; steady.go
// is the first scenario.
package main
